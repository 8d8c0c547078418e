"""Operators of constants, of sizes and of codes of weights: against ONNX Runtime, and what is refused."""

from __future__ import annotations

import time
from itertools import pairwise

import numpy as np
import onnx
import pytest
from numpy.testing import assert_array_equal
from onnx import TensorProto, helper

from compiler import ModelError, load_onnx
from emulator import run_graph
from tests.compiler.models import Model, runtime
from tests.compiler.refusals import refused

S, W = 1 / 16, 1 / 64


def codes(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-127, 128, shape)


def integers(model: Model, *values: int) -> str:
    return model.constant(list(values), "int64")


def same(model: Model, folder, shape: tuple[int, ...] = (3, 6, 6), layers: int = 1) -> None:
    """All scales are powers of two, so ONNX Runtime's float32 is exact."""
    x = {"input": np.random.default_rng(5).normal(scale=3, size=(3, *shape)).astype(np.float32)}
    graph = load_onnx(model.save(folder))
    quantized = next(node.output[0] for node in reversed(model.nodes) if node.op_type == "QuantizeLinear")
    assert_array_equal(next(iter(run_graph(graph, x).values())), runtime(model, [quantized], x)[0])
    assert len(graph.nodes) == layers


def conv(model: Model, weights: str, bias: str | None = None) -> None:
    x = model.qdq(model.input((3, 6, 6)), S, 3)
    model.output(model.qdq(model.node("Conv", [x, weights, *([bias] if bias else [])], "layer"), 1 / 4))


def clipped(m: Model) -> str:
    low, high = (m.constant(value, "int8") for value in (-100, 90))
    return m.dequantize(m.node("Clip", [m.constant(codes(4, 3, 3, 3), "int8"), low, high]), W)


def turned(m: Model) -> str:
    whole = m.weight(codes(3, 3, 3, 4), np.array([1, 2, 4, 1]) * W, axis=3)
    return m.node("Transpose", [whole], perm=[3, 2, 0, 1])


def regrouped(m: Model) -> str:
    flat = m.weight(codes(4, 27), np.array([1, 2, 4, 1]) * W)
    return m.node("Reshape", [flat, integers(m, 4, 3, 3, 3)])


def unsqueezed(m: Model) -> str:
    whole = m.weight(codes(4, 3, 3), np.array([1, 2, 4, 1]) * W)
    kernel = m.node("Unsqueeze", [whole, integers(m, 2)])
    return m.node("Squeeze", [m.node("Unsqueeze", [kernel, integers(m, 0)]), integers(m, 0)])


def picked(m: Model) -> str:
    many = m.weight(codes(7, 3, 3, 3), np.array([1, 2, 4, 1, 2, 1, 1]) * W)
    chosen = m.node("Gather", [many, integers(m, 6, 2, 1, 3)], axis=0)
    return m.node("Slice", [chosen, integers(m, 1), integers(m, 4), integers(m, 0)])


def quantized_here(m: Model) -> str:
    real = m.node("Mul", [m.constant(codes(4, 3, 3, 3) * 0.01), m.constant(0.5)])
    return m.qdq(m.node("Cast", [real], to=TensorProto.FLOAT), W)


def quantized_twice(m: Model) -> str:
    return m.qdq(m.qdq(m.constant(codes(4, 3, 3, 3) * 0.01), W), 2 * W)


def half_precision(m: Model) -> str:
    return m.qdq(m.node("Cast", [m.constant(codes(4, 3, 3, 3) * 0.01, "float16")], to=TensorProto.FLOAT), W)


WEIGHTS = {
    f.__name__: f
    for f in (clipped, turned, regrouped, unsqueezed, picked, quantized_here, quantized_twice, half_precision)
}


@pytest.mark.parametrize("weights", WEIGHTS)
def test_weights_that_operators_make(weights: str, tmp_path) -> None:
    model = Model()
    conv(model, WEIGHTS[weights](model))
    same(model, tmp_path)


def test_a_bias_that_operators_make(tmp_path) -> None:
    model = Model()
    x = model.qdq(model.input((6,)), S)
    bias = model.node("Reshape", [model.bias(codes(4, seed=1) * 9, S * W), integers(model, 1, 4)])
    y = model.node("Add", [model.node("MatMul", [x, model.weight(codes(6, 4), W)], "fc"), bias])
    model.output(model.qdq(y, 1 / 4))
    same(model, tmp_path, (6,))


def test_channels_of_different_scales_are_not_mixed(tmp_path) -> None:
    model = Model()
    whole = model.weight(codes(4, 27), np.array([1, 2, 4, 1]) * W)
    conv(model, model.node("Reshape", [whole, integers(model, 3, 4, 3, 3)], "mix"))
    refused(model, tmp_path, "Reshape 'mix': mixes channels of different scales; quantize the constant behind it, or")


def flattened(m: Model, x: str, source: str) -> str:
    """``x.view(x.size(0), -1)`` as TorchScript writes it."""
    size = m.node("Gather", [m.node("Shape", [source]), m.constant(0, "int64")], axis=0)
    return m.node(
        "Reshape", [x, m.node("Concat", [m.node("Unsqueeze", [size, integers(m, 0)]), integers(m, 48)], axis=0)]
    )


def computed(m: Model, x: str, source: str) -> str:
    """The sizes behind the batch, multiplied."""
    shape = m.node("Shape", [source])
    first, rest = (m.node("Slice", [shape, integers(m, a), integers(m, b)]) for a, b in ((0, 1), (1, 9)))
    count = m.node("ReduceProd", [m.node("Cast", [rest], to=TensorProto.FLOAT)], keepdims=1)
    count = m.node("Cast", [m.node("Div", [m.node("Mul", [count, m.constant(2.0)]), m.constant(2.0)])], to=7)
    return m.node("Reshape", [x, m.node("Concat", [first, count], axis=0)])


def guarded(m: Model, x: str, source: str) -> str:
    """-1 where the sizes say so, by Equal and Where."""
    shape = m.node("Concat", [m.node("Shape", [source], start=0, end=1), integers(m, -7)], axis=0)
    fill = m.node("ConstantOfShape", [m.node("Shape", [shape])], value=helper.make_tensor("v", 7, [1], [-1]))
    return m.node("Reshape", [x, m.node("Where", [m.node("Equal", [shape, integers(m, -7)]), fill, shape])])


SHAPES = {f.__name__: f for f in (flattened, computed, guarded)}


@pytest.mark.parametrize("batch", ["batch", 3])
@pytest.mark.parametrize("source", ["input", "codes", "pooled"])
@pytest.mark.parametrize("shape", SHAPES)
def test_sizes_of_which_only_the_batch_is_open(shape: str, source: str, batch: object, tmp_path) -> None:
    model = Model()
    x = model.qdq(model.input((3, 8, 8), batch=batch), S)
    pooled = model.node("MaxPool", [x], "pool", kernel_shape=[2, 2], strides=[2, 2])
    if source == "codes":
        pooled = model.qdq(pooled, S)
    size = model.node("Slice", ["input", *(integers(model, n) for n in (0, 4, 2, 2))]) if source == "input" else pooled
    y = SHAPES[shape](model, pooled, size)
    model.output(model.qdq(model.node("Gemm", [y, model.weight(codes(5, 48), W)], "fc", transB=1), 1 / 4))
    same(model, tmp_path, (3, 8, 8), layers=3)


def test_shapes_that_compute_with_the_batch(tmp_path) -> None:
    model = Model()
    x = model.qdq(model.input((3, 4)), S)
    size = model.node("Mul", [model.node("Shape", [x], end=1), integers(model, 3)])
    y = model.node("Reshape", [x, model.node("Concat", [size, integers(model, 4)], axis=0)], "rows")
    model.output(model.qdq(model.node("MatMul", [y, model.weight(codes(4, 2), W)], "fc"), S))
    refused(
        model, tmp_path, "Reshape 'rows': shape may have the size of the batch as an entry, but not compute with it"
    )


def test_constants_of_the_batch(tmp_path) -> None:
    """A state of zeros for each sample, from codes; and one too large to be made while the file is read."""
    for width in (8, 1 << 15):
        rng = np.random.default_rng(0)
        model = Model()
        x = model.input((8,))
        batch = model.node("Shape", [x], start=0, end=1)
        start = model.weight(np.full((1, width), 64), W)
        state = model.node("Expand", [start, model.node("Concat", [batch, integers(model, width)], axis=0)], "state")
        state = model.node("Slice", [state, *(integers(model, n) for n in (0, 8, 1))])
        y = model.qdq(model.node("Add", [x, state], "sum"), S)
        weights = model.weight(rng.integers(-127, 128, (5, 8)), W)
        model.output(model.qdq(model.node("Gemm", [y, weights], "fc", transB=1), 1 / 4))
        same(model, tmp_path, (8,))


def test_a_condition_that_is_constant(tmp_path) -> None:
    model = Model()
    x = model.qdq(model.input((3, 4, 4)), S)
    weights = model.weight(codes(5, 48), W)
    flat = helper.make_node("Flatten", [x], ["flat"], name="inside")
    wrong = helper.make_node("Softmax", [x], ["soft"], name="never")
    branches = [
        helper.make_graph([node], "branch", [], [helper.make_empty_tensor_value_info(node.output[0])])
        for node in (flat, wrong)
    ]
    equal = model.node("Equal", [model.node("Shape", [x], start=1, end=2), integers(model, 3)])
    y = model.node("If", [model.node("Squeeze", [equal])], "choice", then_branch=branches[0], else_branch=branches[1])
    model.output(model.qdq(model.node("Gemm", [y, weights], "fc", transB=1), 1 / 4))
    same(model, tmp_path, (3, 4, 4), layers=2)


def called(model: Model, bodies: dict[str, list[onnx.NodeProto]], folder):
    proto = model.proto()
    for name, nodes in bodies.items():
        imports = [helper.make_opsetid("", 21), helper.make_opsetid("own", 1)]
        proto.functions.append(helper.make_function("own", name, ["a"], ["b"], nodes, imports))
    path = folder / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


def own(model: Model, x: str, name: str) -> str:
    y = model.node(name, [x], "call")
    model.nodes[-1].domain = "own"
    return y


def test_functions_of_the_model(tmp_path) -> None:
    model = Model()
    x = model.qdq(model.input((6,)), S)
    y = own(model, model.node("MatMul", [x, model.weight(codes(6, 4), W)], "fc"), "Positive")
    model.output(model.qdq(y, 1 / 4, -128))
    inner = helper.make_node("Clamp", ["a"], ["b"], domain="own")
    bodies = {"Positive": [inner], "Clamp": [helper.make_node("Relu", ["a"], ["b"])]}
    graph = load_onnx(called(model, bodies, tmp_path))
    assert [node.name for node in graph.nodes] == ["fc"] and graph.nodes[0].y_min == -128


def test_functions_that_grow(tmp_path) -> None:
    model = Model()
    model.output(model.qdq(own(model, model.qdq(model.input((6,)), S), "F0"), S))
    names = [f"F{n}" for n in range(30)]
    bodies = {}
    for name, inner in pairwise(names):
        first = helper.make_node(inner, ["a"], ["c"], domain="own")
        bodies[name] = [first, helper.make_node(inner, ["c"], ["b"], domain="own")]
    bodies[names[-1]] = [helper.make_node("Relu", ["a"], ["b"])]
    with pytest.raises(ModelError, match="its functions must make at most 2\\^17 nodes"):
        load_onnx(called(model, bodies, tmp_path))
    bodies[names[-1]] = [helper.make_node("F0", ["a"], ["b"], domain="own")]
    with pytest.raises(ModelError, match="function 'F0' of 'own' must not call itself"):
        load_onnx(called(model, bodies, tmp_path))


def huge(m: Model) -> dict[str, str]:
    one = m.constant([1.0])
    return {
        "Expand": m.node("Expand", [one, integers(m, 1 << 40)], "big"),
        "Tile": m.node("Tile", [one, integers(m, 1 << 40)], "big"),
        "ConstantOfShape": m.node("ConstantOfShape", [integers(m, 1 << 20, 1 << 20)], "big"),
        "Range": m.node("Range", [m.constant(0, "int64"), m.constant(1 << 40, "int64"), m.constant(1, "int64")], "big"),
        "Pad": m.node("Pad", [one, integers(m, 0, 1 << 40)], "big"),
        "Resize": m.node(
            "Resize", [m.constant(np.ones((1, 1, 2, 2))), "", "", integers(m, 1, 1, 1 << 12, 1 << 12)], "big"
        ),
        "Many": many(m),
        "MatMul": m.node("MatMul", [m.constant(np.ones((1 << 14, 1))), m.constant(np.ones((1, 1 << 14)))], "big"),
    }


def many(m: Model) -> str:
    """Twelve constants of 16 MiB, each within its own limit."""
    parts = [m.node("Expand", [m.constant([1.0]), integers(m, 1 << 22)], f"part{n}") for n in range(12)]
    return m.node("Sum", parts, "big")


@pytest.mark.parametrize("kind", ["Expand", "Tile", "ConstantOfShape", "Range", "Pad", "Resize", "MatMul", "Many"])
def test_sizes_are_checked_before_anything_is_computed(kind: str, tmp_path) -> None:
    model = Model()
    x = model.qdq(model.input((6,)), S)
    model.output(model.qdq(model.node("Add", [x, huge(model)[kind]], "add"), S))
    started = time.process_time()
    refused(
        model, tmp_path, f"{kind} 'big': " if kind != "Many" else "what operators make of constants must have at mo"
    )
    assert time.process_time() - started < 5


def test_what_is_no_constant(tmp_path) -> None:
    for node, text in (
        (("RandomNormal", [], {"shape": [6]}), "RandomNormal 'made': makes random numbers, which are no constant"),
        (
            ("Reshape", ["c", "s"], {}),
            "Reshape 'made': cannot be computed from constants: cannot reshape array of size 6",
        ),
        (("Concat", ["c", "s"], {"axis": 0}), "Concat 'made': "),
    ):
        model = Model()
        model.constant([1.0] * 6, name="c")
        model.constant([5], "int64", name="s")
        x = model.qdq(model.input((6,)), S)
        kind, inputs, attributes = node
        model.output(model.qdq(model.node("Add", [x, model.node(kind, inputs, "made", **attributes)], "add"), S))
        refused(model, tmp_path, text)
