"""Every operator family: the graph's contents against plain arithmetic, its codes against ONNX Runtime."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from compiler import load_onnx
from emulator import Add, AveragePool, Convolution, Linear, LookupTable, MaxPool, Product, Rescale, Reshape
from tests.compiler.machines import check_everywhere
from tests.compiler.models import Model, check_against_runtime, small_network

SX = 0.03125 * 1.1
F32 = np.float32


def multiplier_of(scale: float, bits: int = 24) -> tuple[int, int]:
    """(multiplier, shift) of the contract's section 3, in exact rational arithmetic."""
    exact, exponent = Fraction(scale), 0
    while exact / Fraction(2) ** exponent >= 1:
        exponent += 1
    while exact / Fraction(2) ** exponent < Fraction(1, 2):
        exponent -= 1
    multiplier, shift = round(exact / Fraction(2) ** exponent * 2**bits), bits - exponent
    return (multiplier // 2, shift - 1) if multiplier == 2**bits else (multiplier, shift)


def images(shape: tuple[int, ...], seed: int = 1, spread: float = 3.0) -> dict[str, np.ndarray]:
    return {"input": np.random.default_rng(seed).normal(0, spread, shape).astype(F32)}


def test_convolution_contents(tmp_path):
    rng = np.random.default_rng(0)
    codes, scale = rng.integers(-128, 128, (6, 2, 3, 2)), rng.uniform(0.001, 0.1, 6).astype(F32)
    start = rng.integers(-5000, 5000, 6)
    model = Model()
    x = model.qdq(model.input((4, 9, 8)), SX, -7)
    bias = model.bias(start, F32(SX) * scale)
    y = model.node("Conv", [x, model.weight(codes, scale), bias], "layer", group=2, strides=[2, 1],
                   pads=[1, 0, 2, 1], dilations=[1, 2])  # fmt: skip
    model.output(model.qdq(model.node("Relu", [y], "act"), 0.3, -20))
    graph, _ = check_against_runtime(model, tmp_path, images((5, 4, 9, 8)))
    (layer,) = graph.nodes
    assert isinstance(layer, Convolution)
    assert (layer.name, layer.inputs, layer.groups) == ("layer", ("input",), 2)
    assert (layer.strides, layer.padding, layer.dilations) == ((2, 1), (1, 0, 2, 1), (1, 2))
    assert (layer.scale, layer.zero_point, layer.y_min, layer.y_max) == (float(F32(0.3)), -20, -20, 127)
    assert layer.shape == ((9 + 3 - 3) // 2 + 1, 8 + 1 - 3 + 1, 6)
    for o in range(6):
        for i in range(2):
            np.testing.assert_array_equal(layer.weight[o, :, :, i], codes[o, i])
        real = float(F32(SX)) * float(scale[o]) / float(F32(0.3))
        assert (layer.multiplier[o], layer.shift[o]) == multiplier_of(real)
    np.testing.assert_array_equal(layer.bias, start)
    (entry,) = graph.inputs
    assert (entry.name, entry.shape, entry.scale, entry.zero_point) == ("input", (9, 8, 4), float(F32(SX)), -7)
    assert graph.outputs == {model.outputs[0]: "layer"}


@pytest.mark.parametrize("seed", range(40))
def test_any_convolution_equals_runtime(seed, tmp_path):
    rng = np.random.default_rng(seed)
    groups = int(rng.choice([1, 1, 2, 3]))
    depth, per_group = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    kernel, dilations = rng.integers(1, 4, 2), rng.integers(1, 3, 2)
    strides = rng.integers(1, 4, 2)
    size = tuple(int(v) for v in rng.integers(7, 12, 2))
    automatic = rng.choice(["NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"])
    if automatic != "NOTSET":
        dilations[:] = 1  # ONNX Runtime refuses SAME with dilation
    model = Model(opset=int(rng.choice([13, 19, 21])))
    kind = str(rng.choice(["int8", "uint8"]))
    x = model.qdq(model.input((depth * groups, *size)), 0.05, int(rng.integers(0, 128)), kind)
    codes = rng.integers(-127, 128, (per_group * groups, depth, *kernel))
    scale = rng.uniform(0.001, 0.02, per_group * groups if seed % 3 else None)
    scale = np.float32(scale)
    inputs = [x, model.weight(codes, scale)]
    if seed % 2:
        # A float bias that the integers hold, so that only the last rounding can differ.
        inputs.append(model.constant(rng.integers(-999, 999, per_group * groups) * (F32(0.05) * np.float64(scale))))
    y = model.node(
        "Conv", inputs, group=groups, strides=strides.tolist(), dilations=dilations.tolist(),
        kernel_shape=kernel.tolist() if seed % 4 else None,
        pads=rng.integers(0, 3, 4).tolist() if automatic == "NOTSET" else None, auto_pad=str(automatic),
    )  # fmt: skip
    model.output(model.qdq(y, 0.07, 100, "uint8"))
    _, differing = check_against_runtime(model, tmp_path, images((3, depth * groups, *size), seed))
    assert differing <= 3


@pytest.mark.parametrize("form", ["gemm", "gemm_transposed", "gemm_bias_row", "matmul", "matmul_add", "add_matmul"])
def test_linear_forms(form, tmp_path):
    rng = np.random.default_rng(3)
    codes, scale, bias = rng.integers(-127, 128, (20, 6)), rng.uniform(0.001, 0.02, 6).astype(F32), rng.normal(size=6)
    model = Model()
    x = model.qdq(model.input((20,)), SX, 4)
    if form == "gemm_transposed":
        y = model.node("Gemm", [x, model.weight(codes.T, scale, axis=0), model.constant(bias)], "fc", transB=1)
    elif form.startswith("gemm"):
        row = bias[None] if form == "gemm_bias_row" else bias
        y = model.node("Gemm", [x, model.weight(codes, scale, axis=-1), model.constant(row)], "fc")
    else:
        y = model.node("MatMul", [x, model.weight(codes, scale, axis=1)], "fc")
        if form != "matmul":
            pair = [y, model.bias(np.rint(bias / (F32(SX) * scale)), F32(SX) * scale)]
            y = model.node("Add", pair if form == "matmul_add" else pair[::-1], "bias")
    model.output(model.qdq(y, 0.1, -3))
    graph, differing = check_against_runtime(model, tmp_path, images((50, 20)))
    assert differing == 0
    (layer,) = graph.nodes
    assert isinstance(layer, Linear) and layer.name == "fc" and layer.shape == (6,)
    np.testing.assert_array_equal(layer.weight, codes)
    expected = [round(float(F32(b)) / (float(F32(SX)) * float(s))) for b, s in zip(bias, scale, strict=True)]
    expected = [0] * 6 if form == "matmul" else expected
    np.testing.assert_array_equal(layer.bias, expected)


def test_transposed_weight_behind_its_dequantizer(tmp_path):
    rng = np.random.default_rng(4)
    codes, scale = rng.integers(-127, 128, (6, 20)), rng.uniform(0.001, 0.02, 6).astype(F32)
    model = Model()
    x = model.qdq(model.input((20,)), SX, 4)
    weight = model.node("Transpose", [model.weight(codes, scale, axis=0)], perm=[1, 0])
    model.output(model.qdq(model.node("MatMul", [x, weight], "fc"), 0.1))
    graph, differing = check_against_runtime(model, tmp_path, images((50, 20)))
    assert differing == 0
    np.testing.assert_array_equal(graph.nodes[0].weight, codes.T)


@pytest.mark.parametrize("between", [True, False])
def test_linear_behind_a_flattened_map(between, tmp_path):
    """The file's rows are channel first, the graph's channel last; with and without a QDQ pair behind the Flatten."""
    rng = np.random.default_rng(5)
    channels, height, width = 3, 4, 5
    codes = rng.integers(-127, 128, (channels * height * width, 7))
    model = Model()
    x = model.qdq(model.input((channels, height, width)), SX)
    y = model.node("Flatten", [x], "flatten")
    y = model.qdq(y, SX) if between else y
    model.output(model.qdq(model.node("MatMul", [y, model.weight(codes, 0.01)], "fc"), 0.2))
    graph, differing = check_against_runtime(model, tmp_path, images((20, channels, height, width)))
    assert differing == 0
    flatten, layer = graph.nodes
    assert isinstance(flatten, Reshape) and flatten.name == "flatten" and flatten.shape == (60,)
    assert isinstance(layer, Linear) and layer.inputs == ("flatten",)
    for c in range(channels):
        for h in range(height):
            for w in range(width):
                row = layer.weight[(h * width + w) * channels + c]
                np.testing.assert_array_equal(row, codes[(c * height + h) * width + w])


@pytest.mark.parametrize("shape", [[0, -1], [-1, 60], [0, 60], [0, 3, -1, 2], [2, 60], [2, -1]])
def test_reshape_keeps_the_batch(shape, tmp_path):
    rng = np.random.default_rng(6)
    model = Model()
    x = model.qdq(model.input((3, 4, 5), batch=2), SX)
    y = model.node("Reshape", [x, model.constant(shape, "int64")], "reshape")
    y = model.node("Flatten", [y], "flatten") if len(shape) == 4 else y
    model.output(model.qdq(model.node("MatMul", [y, model.weight(rng.integers(-9, 9, (60, 7)), 0.01)], "fc"), 0.05))
    graph, differing = check_against_runtime(model, tmp_path, images((2, 3, 4, 5)))
    assert differing == 0 and graph.nodes[-1].shape == (7,)


def test_vectors_become_maps_and_back(tmp_path):
    model = Model()
    x = model.qdq(model.input((6,)), SX)
    y = model.node("Reshape", [x, model.constant([-1, 6, 1, 1], "int64")])
    y = model.node("Conv", [y, model.weight(np.arange(12).reshape(2, 6, 1, 1), 0.01)], "conv")
    y = model.node("Squeeze", [model.qdq(y, 0.1), model.constant([2, 3], "int64")])
    model.output(model.qdq(model.node("MatMul", [y, model.weight([[1, 2], [3, 4]], 0.1)], "fc"), 0.05))
    graph, differing = check_against_runtime(model, tmp_path, images((4, 6)))
    assert differing == 0 and [node.shape for node in graph.nodes] == [(1, 1, 6), (1, 1, 2), (2,), (2,)]


@pytest.mark.parametrize("seed", range(24))
@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
def test_any_pool_equals_runtime(op, seed, tmp_path):
    rng = np.random.default_rng(seed)
    kernel, strides = rng.integers(2, 4, 2).tolist(), rng.integers(1, 4, 2).tolist()
    size = tuple(int(v) for v in rng.integers(6, 11, 2))
    attributes: dict[str, object] = {"kernel_shape": kernel, "strides": strides, "ceil_mode": int(rng.integers(0, 2))}
    if seed % 4 == 0:
        attributes["auto_pad"] = str(rng.choice(["SAME_UPPER", "SAME_LOWER", "VALID"]))
        attributes["ceil_mode"] = 0
        attributes["strides"] = [min(pair) for pair in zip(strides, kernel, strict=True)]  # else ONNX Runtime refuses
    else:
        attributes["pads"] = [int(rng.integers(0, k)) for k in kernel * 2]
    if op == "AveragePool":
        attributes["count_include_pad"] = int(rng.integers(0, 2))
    elif seed % 4 == 1:
        attributes |= {"dilations": [2, 1], "pads": [1, 0, 1, 0]}
    model = Model(opset=13 if seed % 2 else 21)
    x = model.qdq(model.input((2, *size)), SX, 9)
    target = (SX, 9) if op == "MaxPool" and seed % 3 else (0.02, -5)
    model.output(model.qdq(model.node(op, [x], "pool", **attributes), *target))
    graph, differing = check_against_runtime(model, tmp_path, images((3, 2, *size), seed))
    assert graph.nodes[-1].name == "pool" and differing <= 12


@pytest.mark.parametrize("counted", [0, 1])
def test_dilated_average_pool(counted, tmp_path):
    model = Model()
    x = model.qdq(model.input((2, 9, 8)), SX, 9)
    y = model.node("AveragePool", [x], "pool", kernel_shape=[3, 2], dilations=[2, 3], strides=[1, 2], pads=[1, 1, 2, 1],
                   count_include_pad=counted)  # fmt: skip
    model.output(model.qdq(y, 0.02, -5))
    graph = check_everywhere(model, tmp_path, images((3, 2, 9, 8)), most=6)
    assert graph.nodes[0].dilations == (2, 3)


def test_max_pool_that_changes_its_scale(tmp_path):
    model = Model()
    x = model.qdq(model.input((1, 4, 4)), SX, 2)
    model.output(model.qdq(model.node("MaxPool", [x], "pool", kernel_shape=[2, 2]), 0.05, 0))
    graph, _ = check_against_runtime(model, tmp_path, images((9, 1, 4, 4)))
    pool, rescale = graph.nodes
    assert isinstance(pool, MaxPool) and pool.name == "pool/codes"
    assert (pool.scale, pool.zero_point) == (float(F32(SX)), 2)
    assert isinstance(rescale, Rescale) and rescale.name == "pool" and rescale.zero_point == 0
    assert (rescale.multiplier, rescale.shift) == multiplier_of(float(F32(SX)) / float(F32(0.05)))


@pytest.mark.parametrize("op", ["GlobalAveragePool", "GlobalMaxPool", "mean13", "mean18", "mean_vector"])
def test_whole_map_pools(op, tmp_path):
    model = Model(opset=13 if op == "mean13" else 18)
    x = model.qdq(model.input((3, 5, 7)), SX, 9)
    if op == "mean13":
        y = model.node("ReduceMean", [x], "pool", axes=[-1, 2])
    elif op.startswith("mean"):
        y = model.node("ReduceMean", [x, model.constant([2, 3], "int64")], "pool", keepdims=int(op == "mean18"))
    else:
        y = model.node(op, [x], "pool")
    same = op == "GlobalMaxPool"
    model.output(model.qdq(y, SX if same else 0.01, 9 if same else -60))
    graph, _ = check_against_runtime(model, tmp_path, images((20, 3, 5, 7)))
    if op == "mean_vector":
        assert [node.name for node in graph.nodes] == ["pool/codes", "pool"] and graph.nodes[1].shape == (3,)
    else:
        assert len(graph.nodes) == 1 and graph.nodes[0].shape == (1, 1, 3) and graph.nodes[0].kernel == (5, 7)
    if not same:
        multiplier, shift = multiplier_of(float(F32(SX)) / (float(F32(0.01)) * 35))
        assert (graph.nodes[0].multiplier.tolist(), graph.nodes[0].shift.tolist()) == ([[multiplier]], [[shift]])


def test_average_pool_divides_by_the_positions_on_the_map(tmp_path):
    model = Model()
    x = model.qdq(model.input((1, 4, 4)), SX)
    y = model.node("AveragePool", [x], "pool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 0, 0])
    model.output(model.qdq(y, 0.02))
    (layer,) = load_onnx(model.save(tmp_path)).nodes
    assert isinstance(layer, AveragePool)
    for row, column, count in ((0, 0, 4), (0, 1, 6), (1, 0, 6), (1, 1, 9)):
        expected = multiplier_of(float(F32(SX)) / (float(F32(0.02)) * count))
        assert (layer.multiplier[row, column], layer.shift[row, column]) == expected


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul"])
def test_elementwise_of_two_tensors(op, tmp_path):
    model = Model()
    a = model.qdq(model.input((2, 3, 3), "a"), 0.03, 5)
    b = model.qdq(model.input((2, 3, 3), "b"), 0.011, -100)
    model.output(model.qdq(model.node(op, [a, b], "join"), 0.05, 17))
    rng = np.random.default_rng(8)
    feeds = {name: rng.normal(0, 2, (40, 2, 3, 3)).astype(F32) for name in "ab"}
    graph, differing = check_against_runtime(model, tmp_path, feeds)
    (layer,) = graph.nodes
    assert layer.inputs == ("a", "b") and differing <= 7  # of 720
    sa, sb, sy = (float(F32(s)) for s in (0.03, 0.011, 0.05))
    if op == "Mul":
        assert isinstance(layer, Product) and (layer.multiplier, layer.shift) == multiplier_of(sa * sb / sy)
    else:
        assert isinstance(layer, Add) and layer.subtract == (op == "Sub")
        assert (layer.a_multiplier, layer.shift) == multiplier_of(sa / sy)
        assert layer.b_multiplier == round(Fraction(sb / sy) * 2**layer.shift)


FUNCTIONS = {
    "Sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "Tanh": math.tanh,
    "HardSwish": lambda x: x * min(max(x / 6 + 0.5, 0), 1),
    "Gelu": lambda x: x / 2 * (1 + math.erf(x / 2**0.5)),
    "LeakyRelu": lambda x: x if x >= 0 else float(F32(0.01)) * x,
    "Elu": lambda x: x if x > 0 else math.exp(x) - 1,
    "Softplus": lambda x: math.log(1 + math.exp(x)),
    "Abs": abs,
    "Exp": math.exp,
    "HardSigmoid": lambda x: min(max(float(F32(0.2)) * x + 0.5, 0), 1),
}


@pytest.mark.parametrize("op", FUNCTIONS)
def test_unary_function_is_a_table(op, tmp_path):
    model = Model()
    x = model.qdq(model.input((256,)), SX, 11)
    model.output(model.qdq(model.node(op, [x], "act"), 0.02, -30))
    codes = np.arange(-128, 128)
    feeds = {"input": ((codes - 11) * F32(SX)).astype(F32)[None]}
    graph, differing = check_against_runtime(model, tmp_path, feeds)
    (layer,) = graph.nodes
    assert isinstance(layer, LookupTable) and layer.name == "act" and differing <= 1
    reals = [FUNCTIONS[op](float(F32(SX)) * (int(code) - 11)) / float(F32(0.02)) for code in codes]
    np.testing.assert_array_equal(layer.table, [min(max(round(v) - 30, -128), 127) for v in reals])


@pytest.mark.parametrize("form", ["silu", "hard_swish", "gelu", "scaled", "reciprocal"])
def test_expression_of_one_tensor_is_one_table(form, tmp_path):
    model = Model()
    x = model.qdq(model.input((256,)), SX, 11)
    if form == "silu":
        y = model.node("Mul", [x, model.node("Sigmoid", [x])], "act")
    elif form == "hard_swish":
        y = model.node("Add", [x, model.constant(3.0)])
        y = model.node("Clip", [y, model.constant(0.0), model.constant(6.0)])
        y = model.node("Div", [model.node("Mul", [x, y]), model.constant(6.0)], "act")
    elif form == "gelu":
        y = model.node("Erf", [model.node("Div", [x, model.constant(2**0.5)])])
        y = model.node("Mul", [x, model.node("Add", [y, model.constant(1.0)])])
        y = model.node("Mul", [y, model.constant([0.5])], "act")
    elif form == "scaled":
        y = model.node("Sub", [model.constant(1.0), model.node("Relu", [x])], "act")
    else:
        y = model.node("Div", [model.constant(1.0), x], "act")
    model.output(model.qdq(y, 0.02, -30))
    feeds = {"input": ((np.arange(-128, 128) - 11) * F32(SX)).astype(F32)[None]}
    graph, differing = check_against_runtime(model, tmp_path, feeds)
    assert [(type(node), node.name) for node in graph.nodes] == [(LookupTable, "act")] and differing <= 1


def test_whole_network_of_names_and_operations(tmp_path):
    graph = load_onnx(small_network().save(tmp_path))
    assert {node.name: type(node) for node in graph.nodes} == {
        "features.0": Convolution,
        "pool": MaxPool,
        "depthwise": Convolution,
        "residual": Add,
        "average": AveragePool,
        "flatten": Reshape,
        "classifier": Linear,
    }
    assert graph.metadata["opset"] == 21 and set(graph.metadata["codes"]) == {"input"} | {
        node.name for node in graph.nodes if node.name != "flatten"
    }
