"""What the file computes in float in front of the accelerator and behind it: ONNX Runtime's own results, to the bit.

All scales are powers of two, so that ONNX Runtime's float32 layers are exact and round the same ties.
"""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from onnx import TensorProto, helper

from compiler import compile_graph, load_model, load_onnx
from emulator import Machine, run_graph
from tests.compiler.machines import SMALL
from tests.compiler.models import Model, runtime
from tests.compiler.refusals import refused

S = 1 / 16
W = 1 / 64


def typed_input(model: Model, shape: tuple[int, ...], kind: int, name: str = "input", batch: object = "batch") -> str:
    model.inputs.append(helper.make_tensor_value_info(name, kind, [batch, *shape]))
    return name


def conv(model: Model, x: str, seed: int = 0, depth: int = 3, bias: bool = True) -> str:
    rng = np.random.default_rng(seed)
    weights = model.weight(rng.integers(-127, 128, (4, depth, 3, 3)), np.full(4, W) * [1, 2, 1, 4])
    biases = [model.constant(rng.integers(-99, 99, 4) * 4 * S * W)] if bias else []
    return model.node("Conv", [x, weights, *biases], f"layer{seed or ''}")


def gemm(model: Model, x: str, seed: int = 0, depth: int = 8, outputs: int = 5) -> str:
    rng = np.random.default_rng(seed)
    weights = model.weight(rng.integers(-127, 128, (outputs, depth)), W)
    bias = model.constant(rng.normal(size=outputs).round(3))  # no multiple of the sums' step
    return model.node("Gemm", [x, weights, bias], f"fc{seed or ''}", transB=1)


def same(model: Model, folder, x: dict[str, np.ndarray], exactly: bool = True) -> None:
    """The model's own outputs, as ONNX Runtime has them; and out of the machine."""
    graph = load_onnx(model.save(folder))
    ours = run_graph(graph, x)
    for name, theirs in zip(model.outputs, runtime(model, model.outputs, x), strict=True):
        assert ours[name].dtype == theirs.dtype and ours[name].shape == theirs.shape
        if exactly:
            assert_array_equal(ours[name], theirs)
        else:
            assert np.abs(ours[name] - theirs).max() <= 2.0**-20 * np.abs(theirs).max()
    first = {name: array[:1] for name, array in x.items()}
    expected = run_graph(graph, first)
    for small in SMALL:
        config = replace(small, raw_outputs=any(getattr(node, "raw", False) for node in graph.nodes))
        for name, array in Machine(config).run(compile_graph(graph, config), first).outputs.items():
            assert_array_equal(array, expected[name])


def normalized(model: Model) -> str:
    x = model.input((3, 6, 6))
    x = model.node("Sub", [x, model.constant(np.full((1, 3, 1, 1), 0.45))], "mean")
    return model.node("Div", [x, model.constant(np.array([0.2, 0.3, 0.25]).reshape(1, 3, 1, 1))], "deviation")


def pixels(model: Model) -> str:
    x = model.node("Cast", [typed_input(model, (6, 6, 3), TensorProto.UINT8)], "cast", to=TensorProto.FLOAT)
    x = model.node("Mul", [x, model.constant(np.float32(1 / 255))], "unit")
    return model.node("Transpose", [x], "turn", perm=[0, 3, 1, 2])


def upsampled(model: Model) -> str:
    x = model.node("Exp", [model.input((3, 3, 3))], "exp")
    return model.node("Resize", [x, "", model.constant([1, 1, 2, 2])], "larger", mode="nearest")


def embedded(model: Model) -> str:
    ids = typed_input(model, (6, 6), TensorProto.INT64)
    table = model.constant(np.random.default_rng(3).normal(size=(9, 3)))
    return model.node("Transpose", [model.node("Gather", [table, ids], "embed")], "turn", perm=[0, 3, 1, 2])


def unrounded_layer(model: Model) -> str:
    weights = model.constant(np.random.default_rng(3).normal(size=(3, 2, 1, 1)))
    return model.node("Relu", [model.node("Conv", [model.input((2, 6, 6)), weights], "stem")], "positive")


HEADS = {f.__name__: f for f in (normalized, pixels, upsampled, embedded, unrounded_layer)}


def feed(model: Model, count: int, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    made = {}
    for value in model.inputs:
        shape = (count, *(dim.dim_value for dim in value.type.tensor_type.shape.dim[1:]))
        kind = np.dtype(helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type))
        made[value.name] = rng.normal(size=shape) if kind.kind == "f" else rng.integers(0, 9, shape)
        made[value.name] = made[value.name].astype(kind)
    return made


@pytest.mark.parametrize("head", HEADS)
def test_heads(head: str, tmp_path) -> None:
    model = Model()
    x = HEADS[head](model)
    y = model.node("Relu", [conv(model, model.qdq(x, S, 3))], "act")
    model.outputs = [model.quantize(y, 1 / 4, -128)]
    same(model, tmp_path, feed(model, 3))
    graph = load_onnx(model.save(tmp_path))
    assert graph.head is not None and graph.tail is None and [tensor.name for tensor in graph.inputs] == [x]


def softmax(model: Model, y: str) -> list[str]:
    return [model.node("Softmax", [model.qdq(gemm(model, y), S)], "soft", axis=1)]


def quantized_softmax(model: Model, y: str) -> list[str]:
    soft = model.node("Softmax", [model.qdq(gemm(model, y), S)], "soft", axis=1)
    return [model.qdq(soft, 1 / 256, -128)]


def best(model: Model, y: str) -> list[str]:
    y = gemm(model, y)
    return [model.node("ArgMax", [y], "best", axis=1, keepdims=0), y]


def clamped(model: Model, y: str) -> list[str]:
    return [model.node("Sigmoid", [model.node("Relu", [gemm(model, y)], "act")], "gate")]


def two_of_one(model: Model, y: str) -> list[str]:
    y = model.qdq(gemm(model, y), S)
    model.node("TopK", [y, model.constant([2], "int64")], "best", outputs=2)
    return [*model.nodes[-1].output, y]


def codes(model: Model, y: str) -> list[str]:
    y = model.quantize(gemm(model, y), S, 100, "uint8")
    return [y, model.node("Tanh", [model.dequantize(y, S, 100, "uint8")], "act")]


def float_layer(model: Model, y: str) -> list[str]:
    weights = model.constant(np.random.default_rng(7).normal(size=(8, 2)))
    return [model.node("MatMul", [y, weights], "fc")]


def constant(model: Model, y: str) -> list[str]:
    return [model.qdq(gemm(model, y), S), model.constant([1.0, 2.0])]


TAILS = {f.__name__: f for f in (softmax, quantized_softmax, best, clamped, two_of_one, codes, float_layer, constant)}


@pytest.mark.parametrize("tail", TAILS)
def test_tails(tail: str, tmp_path) -> None:
    model = Model()
    y = model.qdq(gemm(model, model.qdq(model.input((6,)), S, 5), seed=1, depth=6, outputs=8), 1 / 4)
    model.outputs = TAILS[tail](model, y)
    # A bias that is no multiple of the step is added in float32 there, and rounded once more.
    same(model, tmp_path, feed(model, 5), exactly=tail not in ("clamped", "best"))
    assert load_onnx(model.save(tmp_path)).head is None


@pytest.mark.parametrize("batch", ["batch", 1, 2])
def test_head_and_tail_of_maps_for_any_batch(batch: object, tmp_path) -> None:
    model = Model()
    x = model.node("Neg", [model.input((3, 6, 6), batch=batch)], "negative")
    y = model.qdq(conv(model, model.qdq(x, S)), 1 / 4)
    sums = conv(model, y, seed=2, depth=4, bias=False)
    boxes = model.node("Transpose", [sums], "turn", perm=[0, 2, 3, 1])
    shape = model.constant([-1 if batch == "batch" else batch, 16], "int64")
    model.outputs = [model.node("Reshape", [boxes, shape], "rows"), y]
    count = 4 if batch == "batch" else batch
    same(model, tmp_path, feed(model, count)) if batch != 2 else None
    graph, x = load_onnx(model.save(tmp_path)), feed(model, 2 * count)
    parts = [runtime(model, model.outputs, {"input": x["input"][n : n + count]}) for n in (0, count)]
    for index, name in enumerate(model.outputs):
        assert_array_equal(run_graph(graph, x)[name], np.concatenate([part[index] for part in parts]))


def test_sums_of_a_sequence(tmp_path) -> None:
    rng = np.random.default_rng(4)
    model = Model()
    x = model.qdq(model.input((5, 6)), S, -7)
    y = model.node("MatMul", [x, model.weight(rng.integers(-127, 128, (6, 4)), W)], "fc")
    y = model.node("Add", [y, model.constant(rng.integers(-99, 99, 4) * S * W)], "bias")
    model.outputs = [y, model.node("ReduceMax", [y, model.constant([1], "int64")], "best", keepdims=0)]
    same(model, tmp_path, feed(model, 3))


@pytest.mark.parametrize("normal", [False, True])
def test_a_tensor_with_two_quantizers(normal: bool, tmp_path) -> None:
    model = Model()
    x = normalized(model) if normal else model.input((3, 6, 6))
    first, second = conv(model, model.qdq(x, S)), conv(model, model.qdq(x, 2 * S, 9), seed=1)
    third = conv(model, model.qdq(x, S), seed=2)
    model.outputs = [model.quantize(y, 1 / 4) for y in (first, second, third)]
    same(model, tmp_path, feed(model, 3))
    graph = load_onnx(model.save(tmp_path))
    assert [tensor.scale for tensor in graph.inputs] == [S, 2 * S]
    assert graph.inputs[0].name == x and graph.head is not None and graph.head.inputs == ("input",)


def test_a_tail_that_reads_an_input(tmp_path) -> None:
    model = Model()
    x = model.input((3, 6, 6))
    y = model.qdq(model.node("Conv", [model.qdq(x, S), model.weight(np.full((3, 3, 1, 1), 20), W)], "layer"), 1 / 4)
    scale = typed_input(model, (1, 1, 1), TensorProto.FLOAT, "strength")
    model.outputs = [model.node("Sub", [x, model.node("Mul", [y, scale], "scaled")], "difference")]
    same(model, tmp_path, feed(model, 3))
    with pytest.raises(ValueError, match="inputs must have 'strength', not only 'input'"):
        run_graph(load_onnx(model.save(tmp_path)), {"input": np.zeros((1, 3, 6, 6), np.float32)})


@pytest.mark.parametrize("kind", ["int8", "uint8"])
def test_inputs_and_outputs_of_codes(kind: str, tmp_path) -> None:
    model = Model()
    x = typed_input(model, (3, 6, 6), TensorProto.UINT8 if kind == "uint8" else TensorProto.INT8)
    y = conv(model, model.dequantize(x, S, 3, kind))
    model.outputs = [model.quantize(y, 1 / 4, 7, kind)]
    rng = np.random.default_rng(0)
    low, high = np.iinfo(kind).min, np.iinfo(kind).max
    same(model, tmp_path, {"input": rng.integers(low, high, (3, 3, 6, 6), kind, endpoint=True)})
    graph = load_onnx(model.save(tmp_path))
    assert (graph.head is None) == (graph.tail is None) == (kind == "int8")
    assert len(graph.nodes) == 1 and graph.inputs[0].zero_point == (3 if kind == "int8" else -125)


def test_a_float_recurrence_takes_its_quantizers_along(tmp_path) -> None:
    rng = np.random.default_rng(0)
    model = Model()
    x = model.qdq(model.input((7, 4)), S)
    x = model.node("Transpose", [x], "time", perm=[1, 0, 2])
    w, r = (model.constant(rng.normal(scale=0.3, size=(1, 24, n))) for n in (4, 8))
    model.node("GRU", [x, w, r], "gru", outputs=2, hidden_size=8)
    last = model.node("Squeeze", [model.nodes[-1].output[1], model.constant([0], "int64")], "last")
    model.outputs = [model.quantize(gemm(model, model.qdq(last, 1 / 128)), S)]
    same(model, tmp_path, feed(model, 3))
    graph = load_onnx(model.save(tmp_path))
    assert [type(node).__name__ for node in graph.nodes] == ["Linear"] and graph.inputs[0].scale == 1 / 128


def test_cut_outputs(tmp_path) -> None:
    model = Model()
    x = model.qdq(model.input((3, 6, 6)), S)
    sums = conv(model, x)
    quantized = model.quantize(sums, 1 / 4)
    y = model.dequantize(quantized, 1 / 4)
    model.output(model.qdq(model.node("CumSum", [y, model.constant(1, "int64")], "sum"), S))
    path, inputs = model.save(tmp_path), feed(model, 2)
    theirs = runtime(model, [quantized, sums], inputs)
    graph = load_model(path, outputs=[quantized])
    assert graph.tail is None and list(graph.outputs) == [quantized]
    assert_array_equal(run_graph(graph, inputs)[quantized], theirs[0])
    assert_array_equal(run_graph(load_onnx(path, outputs=[y]), inputs)[y], theirs[0])
    assert_array_equal(run_graph(load_onnx(path, outputs=[sums]), inputs)[sums], theirs[1])
    both = run_graph(load_onnx(path, outputs=[y, sums]), inputs)  # with a tail all outputs are the model's own
    assert_array_equal(both[y], theirs[0] * np.float32(1 / 4))
    assert list(run_graph(load_onnx(path, outputs=[y, y]), inputs)) == [y]
    with pytest.raises(ValueError, match="output 'nowhere' is made by no node"):
        load_onnx(path, outputs=["nowhere"])
    with pytest.raises(ValueError, match="outputs must name at least one tensor"):
        load_onnx(path, outputs=[])
    with pytest.raises(TypeError, match="outputs must be a sequence of names, not the text 'y'"):
        load_onnx(path, outputs="y")
    with pytest.raises(ValueError, match="no operator makes its outputs"):
        load_onnx(path, outputs=["input"])


def test_arrays_that_a_head_does_not_take(tmp_path) -> None:
    model = Model()
    model.output(model.qdq(conv(model, model.qdq(pixels(model), S)), S))
    graph = load_onnx(model.save(tmp_path))
    with pytest.raises(TypeError, match="input 'input' must be an array of uint8, not float32"):
        run_graph(graph, {"input": np.zeros((1, 6, 6, 3), np.float32)})
    with pytest.raises(ValueError, match=r"input 'input' must have shape \(batch, 6, 6, 3\), not \(1, 3, 6, 6\)"):
        run_graph(graph, {"input": np.zeros((1, 3, 6, 6), np.uint8)})
    model = Model()
    model.output(model.qdq(conv(model, model.qdq(embedded(model), S)), S))
    with pytest.raises(ValueError, match=r"ONNX Runtime says: .* running Gather node\. Name:'embed'"):
        run_graph(load_onnx(model.save(tmp_path)), {"input": np.full((1, 6, 6), 99)})


def test_what_is_no_host_part(tmp_path) -> None:
    def network(between, last=lambda m, y: m.qdq(gemm(m, m.node("Flatten", [y]), depth=64), S)) -> Model:
        model = Model()
        y = model.qdq(conv(model, model.qdq(model.input((3, 6, 6)), S)), S)
        model.output(last(model, model.qdq(between(model, y), S)))
        return model

    soft = network(lambda m, y: m.node("Softmax", [y], "soft"))
    refused(
        soft, tmp_path, "Softmax 'soft' (a float operator between integer layers, which the accelerator lacks; outp"
    )
    two = network(lambda m, y: m.node("Neg", [m.node("CumSum", [y, m.constant(1, "int64")], "sum")], "minus"))
    refused(
        two, tmp_path, "CumSum 'sum' (no such operator in the integer graph; it and what follows up to Neg 'minus' "
    )
    many = network(lambda m, y: y, lambda m, y: many_sums(m, y))
    refused(many, tmp_path, "12 nodes are not supported: CumSum 'sum")
    refused(many, tmp_path, "; and 2 more")
    with_error = network(lambda m, y: conv(m, y, depth=3))
    refused(with_error, tmp_path, "Conv 'layer': weight of shape (4, 3, 3, 3) in 1 groups does not match an input of 4")
    everything = Model()
    everything.output(everything.node("Softmax", [everything.qdq(everything.input((4,)), S)], "soft"))
    refused(everything, tmp_path, "Softmax 'soft' (a float operator between integer layers, which the accelerator")


def many_sums(model: Model, y: str) -> str:
    made = []
    for index in range(12):
        x = model.qdq(model.node("CumSum", [y, model.constant(1, "int64")], f"sum{index}"), S)
        made.append(model.node("Flatten", [x], f"flat{index}"))
    joined = model.qdq(model.node("Concat", made, "join", axis=1), S)
    return model.qdq(gemm(model, joined, depth=12 * 64), S)


def test_codes_that_the_host_moves(tmp_path) -> None:
    """A quantizer whose tensor has the time first: the host moves what it rounded, and the graph finds its codes."""
    rng = np.random.default_rng(0)
    model = Model()
    x = model.node("Transpose", [model.input((7, 4))], "time", perm=[1, 0, 2])
    w, r = (model.constant(rng.normal(scale=0.3, size=(1, 24, n))) for n in (4, 8))
    model.node("GRU", [x, w, r], "gru", outputs=2, hidden_size=8)
    steps = model.qdq(model.nodes[-1].output[0], 1 / 128, 7)
    last = model.node("Gather", [steps, model.constant(-1, "int64")], "last", axis=0)
    last = model.node("Squeeze", [last, model.constant([0], "int64")], "flat")
    model.outputs = [model.quantize(gemm(model, last), S)]
    same(model, tmp_path, feed(model, 3))
    graph = load_onnx(model.save(tmp_path))
    assert [type(node).__name__ for node in graph.nodes] == ["Linear"]
    assert (graph.inputs[0].scale, graph.inputs[0].zero_point) == (1 / 128, 7)


def test_without_onnxruntime_the_reference_evaluator_runs_the_parts(tmp_path, monkeypatch) -> None:
    def missing(name: str):
        raise ImportError(name)

    model = Model()
    y = model.qdq(gemm(model, model.qdq(model.node("Neg", [model.input((8,))], "minus"), S)), S)
    model.outputs = [model.node("ArgMax", [y], "best", axis=1)]
    x = feed(model, 5)
    monkeypatch.setattr("compiler.onnx.host.runtime.importlib.import_module", missing)
    graph = load_onnx(model.save(tmp_path))
    assert_array_equal(run_graph(graph, x)[model.outputs[0]], runtime(model, model.outputs, x)[0])
    unknown = Model()
    y = unknown.qdq(gemm(unknown, unknown.qdq(unknown.input((8,)), S)), S)
    unknown.outputs = [unknown.node("FastGelu", [y], "fast")]
    unknown.nodes[-1].domain = "com.microsoft"
    refused(unknown, tmp_path, "the host cannot compute it: onnxruntime is not installed (pip install 'loc")


def test_parts_are_data(tmp_path) -> None:
    model = Model()
    model.outputs = softmax(model, model.qdq(normalized_vector(model), S))
    graph, x = load_onnx(model.save(tmp_path)), feed(model, 2)
    (again,) = run_graph(pickle.loads(pickle.dumps(graph)), x).values()
    assert_array_equal(again, run_graph(graph, x)[model.outputs[0]])


def normalized_vector(model: Model) -> str:
    return model.node("Sub", [model.input((8,)), model.constant(0.5)], "mean")


def test_an_embedding_of_codes_joins_a_layer(tmp_path) -> None:
    """Its table is quantized, what it selects is not again: the graph's door finds the table's codes."""
    model = Model()
    ids = typed_input(model, (), TensorProto.INT64, "ids")
    rows = model.node("Gather", [model.weight(np.arange(-40, 41).reshape(9, 9), 1 / 8, zero=3), ids], "embed")
    rng = np.random.default_rng(2)
    first, last = (model.weight(rng.integers(-127, 128, shape), W) for shape in ((6, 8), (17, 5)))
    y = model.qdq(model.node("MatMul", [model.qdq(model.input((6,)), S), first], "first"), 1 / 4)
    joined = model.qdq(model.node("Concat", [y, rows], "join", axis=1), 1 / 2)
    model.outputs = [model.quantize(model.node("MatMul", [joined, last], "last"), 1 / 4)]
    same(model, tmp_path, feed(model, 4))
    graph = load_onnx(model.save(tmp_path))
    assert {tensor.name: (tensor.scale, tensor.zero_point) for tensor in graph.inputs} == {
        "input": (S, 0), rows: (1 / 8, 3)
    }  # fmt: skip


@pytest.mark.parametrize("op", ["MatMul", "ConvTranspose"])
def test_layers_that_are_the_tails_without_a_quantizer(op: str, tmp_path) -> None:
    """A product of four axes and a transposed convolution: no move for them alone is left in the graph."""

    def build(model: Model, y: str) -> Model:
        rng = np.random.default_rng(2)
        codes = rng.integers(-9, 9, (4, 5) if op == "MatMul" else (4, 5, 2, 2))
        model.outputs = [model.node(op, [y, model.weight(codes, W)], "last")]
        return model

    model = Model()
    build(model, model.qdq(conv(model, model.qdq(model.input((3, 6, 6)), S)), 1 / 4))
    same(model, tmp_path, feed(model, 3))
    assert [node.name for node in load_onnx(model.save(tmp_path)).nodes] == ["layer"]
    alone = Model()
    build(alone, alone.qdq(alone.input((4, 6, 4)), S))
    refused(alone, tmp_path, "leaves nothing to the accelerator, as nothing rounds what its layers make; have the")
