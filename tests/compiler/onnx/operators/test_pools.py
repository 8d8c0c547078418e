"""Pools and means: the layers against plain arithmetic, their codes against ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest

from compiler import load_onnx
from emulator import AveragePool, MaxPool, Rescale
from tests.compiler.expected import F32, SX, images, multiplier_of
from tests.compiler.machines import check_everywhere
from tests.compiler.models import Model, check_against_runtime


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


@pytest.mark.parametrize("axes", [[2, 3], [1, 2], [-1]], ids=str)
@pytest.mark.parametrize("op", ["ReduceMean", "ReduceSum"])
def test_a_factor_behind_a_mean_that_was_moved(op, axes, tmp_path):
    model = Model()
    y = model.node(op, [model.qdq(model.input((3, 5, 7)), SX, 9), model.constant(axes, "int64")], "mean", keepdims=0)
    shape = model.constant([-1, *((3, 1, 1) if axes == [2, 3] else (7, 1) if axes == [1, 2] else (5, 3))], "int64")
    y = model.node("Mul", [model.node("Reshape", [y, shape], "shape"), model.constant(0.37)])
    model.output(model.qdq(y, 0.01 if op == "ReduceMean" else 0.1, -60))
    graph, differing = check_against_runtime(model, tmp_path, images((20, 3, 5, 7)))
    assert differing <= 2 and sum(isinstance(node, AveragePool) for node in graph.nodes) == 1


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
