"""What goes to the host and comes from it: codes, several quantizers, cut outputs, arrays that do not fit, refusals."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from onnx import TensorProto

from compiler import load_model, load_onnx
from emulator import run_graph
from tests.compiler.models import Model, runtime
from tests.compiler.onnx.float_ends import (
    S,
    W,
    conv,
    embedded,
    feed,
    gemm,
    normalized,
    pixels,
    same,
    softmax,
    typed_input,
)
from tests.compiler.refusals import refused


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
    with pytest.raises(TypeError, match="outputs must be a sequence of names or None, not 3"):
        load_onnx(path, outputs=3)
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

    soft = network(lambda m, y: m.node("LogSoftmax", [y], "soft"))
    refused(
        soft, tmp_path, "LogSoftmax 'soft' (a float operator between integer layers, which the accelerator lacks; outp"
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
    everything.output(everything.node("LogSoftmax", [everything.qdq(everything.input((4,)), S)], "soft"))
    refused(everything, tmp_path, "LogSoftmax 'soft' (a float operator between integer layers, which the accelerator")


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
