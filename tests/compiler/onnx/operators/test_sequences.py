"""Sequences (batch, channels, length): 1-D convolutions, pools and means against ONNX Runtime and in the machine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from compiler import compile_graph, load_onnx
from emulator import Add, AveragePool, Convolution, Linear, MaxPool, Pad, run_graph
from tests.compiler.machines import SMALL, check_everywhere, check_machines
from tests.compiler.models import Model, runtime

SX = 0.03125 * 1.1
F32 = np.float32


def waves(channels: int, length: int, seed: int = 1, samples: int = 5) -> dict[str, np.ndarray]:
    return {"input": np.random.default_rng(seed).normal(0, 3, (samples, channels, length)).astype(F32)}


@pytest.mark.parametrize("seed", range(24))
def test_any_convolution(seed, tmp_path):
    rng = np.random.default_rng(seed)
    groups, depth, per_group = int(rng.choice([1, 1, 2, 3])), int(rng.integers(1, 4)), int(rng.integers(1, 4))
    kernel, dilation, stride, length = (int(rng.integers(1, most)) for most in (5, 4, 4, 20))
    automatic = str(rng.choice(["NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]))
    dilation = 1 if automatic != "NOTSET" else dilation
    length += (kernel - 1) * dilation
    model = Model()
    x = model.qdq(model.input((depth * groups, length)), SX, int(rng.integers(-128, 128)))
    outputs = per_group * groups
    codes, scale = rng.integers(-127, 128, (outputs, depth, kernel)), rng.uniform(0.001, 0.02, outputs).astype(F32)
    bias = model.constant(rng.integers(-999, 999, outputs) * (F32(SX) * np.float64(scale)))
    y = model.node(
        "Conv", [x, model.weight(codes, scale), bias], "conv", group=groups, strides=[stride],
        dilations=[dilation], kernel_shape=[kernel], auto_pad=automatic,
        pads=rng.integers(0, 4, 2).tolist() if automatic == "NOTSET" else None,
    )  # fmt: skip
    model.output(model.qdq(y, 0.07, 10))
    graph = check_everywhere(model, tmp_path, waves(depth * groups, length, seed), most=2)
    (layer,) = graph.nodes
    assert isinstance(layer, Convolution) and layer.shape[1:] == (per_group * groups,)
    np.testing.assert_array_equal(layer.weight[:, 0], codes.transpose(0, 2, 1))
    assert graph.inputs[0].shape == (length, depth * groups)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
def test_any_pool(op, seed, tmp_path):
    rng = np.random.default_rng(seed)
    kernel = int(rng.integers(2, 5))
    attributes = {"kernel_shape": [kernel], "strides": [int(rng.integers(1, 4))], "ceil_mode": int(rng.integers(0, 2))}
    attributes["pads"] = [int(rng.integers(0, kernel)) for _ in range(2)]
    if op == "AveragePool":
        attributes["count_include_pad"] = int(rng.integers(0, 2))
    else:
        attributes["dilations"] = [int(rng.integers(1, 3))]
        attributes["pads"] = [1, 1]
    model = Model()
    x = model.qdq(model.input((5, 17)), SX, 9)
    model.output(model.qdq(model.node(op, [x], "pool", **attributes), *((SX, 9) if op == "MaxPool" else (0.02, -5))))
    graph = check_everywhere(model, tmp_path, waves(5, 17, seed), most=3)
    assert isinstance(graph.nodes[-1], MaxPool | AveragePool) and graph.nodes[-1].kernel == (1, kernel)


@pytest.mark.parametrize("form", ["GlobalAveragePool", "GlobalMaxPool", "mean", "mean_vector"])
def test_pools_of_the_whole_length(form, tmp_path):
    model = Model()
    x = model.qdq(model.input((6, 11)), SX, 9)
    if form.startswith("mean"):
        y = model.node("ReduceMean", [x, model.constant([-1], "int64")], "pool", keepdims=int(form == "mean"))
    else:
        y = model.node(form, [x], "pool")
    model.output(model.qdq(y, *((SX, 9) if form == "GlobalMaxPool" else (0.011, -60))))
    graph = check_everywhere(model, tmp_path, waves(6, 11), most=2)
    assert graph.nodes[-1].shape == ((6,) if form == "mean_vector" else (1, 6)) and graph.nodes[0].kernel == (1, 11)


@pytest.mark.parametrize(("axes", "keepdims", "shape"), [
    ([2], 1, (1, 5, 3)), ([3], 1, (4, 1, 3)), ([-2], 0, (5, 3)), ([3], 0, (4, 3)), ([3, 2], 0, (3,)),
])  # fmt: skip
def test_means_along_one_axis_of_a_map(axes, keepdims, shape, tmp_path):
    model = Model()
    x = model.qdq(model.input((3, 4, 5)), SX, -7)
    y = model.node("ReduceMean", [x, model.constant(axes, "int64")], "mean", keepdims=keepdims)
    model.output(model.qdq(y, 0.013, 4))
    feeds = {"input": np.random.default_rng(0).normal(0, 2, (6, 3, 4, 5)).astype(F32)}
    graph = check_everywhere(model, tmp_path, feeds, most=3)
    assert graph.nodes[-1].name == "mean" and graph.nodes[-1].shape == shape


def temporal_network(seed: int = 0) -> Model:
    """A causal TCN block: Pad, dilated Conv, Relu, Pad, dilated Conv, residual Add; pool, Flatten, Gemm."""
    rng = np.random.default_rng(seed)
    model = Model()
    x = model.qdq(model.input((4, 20)), SX, -3)
    y = x
    for index, (dilation, sx) in enumerate(((1, SX), (2, 0.04))):
        y = model.node("Pad", [y, model.constant([0, 0, 2 * dilation, 0, 0, 0], "int64")], f"pad{index}")
        scale = rng.uniform(0.001, 0.01, (4, 1)).astype(F32)
        weight = model.weight(rng.integers(-127, 128, (4, 4, 3)), scale[:, 0])
        y = model.node("Conv", [y, weight], f"conv{index}", dilations=[dilation])
        bias = model.constant(rng.integers(-999, 999, (4, 1)) * (F32(sx) * np.float64(scale)))
        y = model.qdq(model.node("Relu", [model.node("Add", [y, bias], f"bias{index}")]), 0.04, -128)
    y = model.qdq(model.node("Add", [y, x], "residual"), 0.06, -20)
    y = model.qdq(model.node("Tanh", [y], "act"), 1 / 128)
    y = model.qdq(model.node("AveragePool", [y], "pool", kernel_shape=[4], strides=[4]), 0.01, 1)
    y = model.node("Flatten", [y], "flatten")
    y = model.node("Gemm", [y, model.weight(rng.integers(-127, 128, (20, 6)), 0.004)], "head")
    model.output(model.qdq(y, 0.02))
    return model


def test_a_temporal_network(tmp_path):
    model, x = temporal_network(), waves(4, 20, samples=40)
    graph = load_onnx(model.save(tmp_path))
    (ours,), (theirs,) = run_graph(graph, x).values(), runtime(model, [model.nodes[-2].output[0]], x)
    # A tie that ONNX Runtime rounds the other way shows in all that follows.
    assert np.abs(ours - theirs.astype(np.int64)).max() <= 1 and (ours != theirs).mean() < 0.02
    check_machines(graph, {"input": x["input"][:2]})
    kinds = [type(node) for node in graph.nodes]
    assert kinds[:5] == [Pad, Convolution, Pad, Convolution, Add] and kinds[-1] is Linear
    assert graph.tensor("pad0").shape == (22, 4) and graph.tensor("pad0").padding == (0, 2, 0, 0)
    whole = run_graph(graph, x)
    for i in range(3):
        (one,), (all_,) = run_graph(graph, {"input": x["input"][i : i + 1]}).values(), whole.values()
        np.testing.assert_array_equal(one[0], all_[i])


def test_the_rows_of_a_linear_layer_behind_a_flattened_sequence(tmp_path):
    rng = np.random.default_rng(5)
    codes = rng.integers(-127, 128, (15, 4))
    model = Model()
    y = model.node("Flatten", [model.qdq(model.input((3, 5)), SX)], "flatten")
    model.output(model.qdq(model.node("MatMul", [y, model.weight(codes, 0.01)], "fc"), 0.2))
    layer = check_everywhere(model, tmp_path, waves(3, 5)).nodes[-1]
    for c in range(3):
        for t in range(5):
            np.testing.assert_array_equal(layer.weight[t * 3 + c], codes[c * 5 + t])


def test_doors_take_and_give_channels_first(tmp_path):
    model = Model()
    model.output(model.qdq(model.node("MaxPool", [model.qdq(model.input((2, 6)), 1.0)], "pool", kernel_shape=[2]), 1.0))
    graph = load_onnx(model.save(tmp_path))
    x = np.arange(12, dtype=np.int8).reshape(1, 2, 6)
    (y,) = run_graph(graph, {"input": x}).values()
    assert y.tolist() == [[[1, 2, 3, 4, 5], [7, 8, 9, 10, 11]]]
    program = compile_graph(graph, SMALL[0])
    np.testing.assert_array_equal(program.read(program.images({"input": x})[0], "input"), x)
    with pytest.raises(ValueError, match=r"input 'input' must have shape \(batch, 2, 6\), not \(1, 6, 2\)"):
        run_graph(graph, {"input": x.transpose(0, 2, 1)})


def test_multiplications_of_a_sequence(tmp_path):
    graph = load_onnx(temporal_network().save(tmp_path))
    assert compile_graph(graph, SMALL[0]).macs == 2 * (4 * 4 * 3) * 20 + 20 * 6


def test_a_sequence_stays_one_line(tmp_path):
    graph = load_onnx(temporal_network().save(tmp_path))
    pad = replace(graph.tensor("pad0"), padding=(1, 2, 0, 0))
    tall = replace(graph, nodes=(pad, *graph.nodes[1:]))
    with pytest.raises(ValueError, match="layer 'pad0': kernel and padding must keep a sequence's height of 1"):
        run_graph(tall, waves(4, 20))
    check_machines(graph, waves(4, 20, seed=9, samples=1))
