"""Convolutions, linear layers and reshapes: contents against plain arithmetic, codes against ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest

from compiler import load_onnx
from emulator import Add, AveragePool, Convolution, Linear, MaxPool, Reshape
from tests.compiler.expected import F32, SX, images, multiplier_of
from tests.compiler.models import Model, check_against_runtime, small_network


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
