"""Broadcast products and sums, and linear layers of sequences, against ONNX Runtime and in the machine."""

from __future__ import annotations

import numpy as np
import pytest

from compiler import load_onnx
from emulator import Add, Arithmetic, Convolution, LookupTable, Product, Transpose, run_graph, run_graph_counts
from tests import oracle
from tests.compiler.machines import check_everywhere, check_machines
from tests.compiler.models import Model, runtime

SX, F32 = 0.03125 * 1.1, np.float32


def values(*shape: int, seed: int = 1, samples: int = 20) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 2, (samples, *shape)).astype(F32)


@pytest.mark.parametrize("op", ["Mul", "Add", "Sub"])
@pytest.mark.parametrize(("a", "b"), [
    ((6, 4, 5), (6, 1, 1)), ((6, 1, 1), (6, 4, 5)), ((6, 4, 5), (1, 4, 5)), ((6, 4, 1), (6, 1, 5)), ((6, 7), (6, 1)),
    ((1, 7), (6, 7)), ((9,), (1,)),
])  # fmt: skip
def test_axes_of_size_one_are_broadcast(op, a, b, tmp_path):
    model = Model()
    sides = [model.qdq(model.input(a, "a"), 0.03, 5), model.qdq(model.input(b, "b"), 0.011, -100)]
    model.output(model.qdq(model.node(op, sides, "gate"), 0.05, 17))
    graph = check_everywhere(model, tmp_path, {"a": values(*a), "b": values(*b, seed=2)}, most=20)
    (layer,) = graph.nodes
    assert isinstance(layer, Product if op == "Mul" else Add)
    assert layer.shape == tuple(np.roll(np.broadcast_shapes(a, b), -1))


def test_squeeze_and_excitation(tmp_path):
    """The map times what two 1×1 convolutions make of its mean; a residual add behind."""
    rng, model = np.random.default_rng(0), Model()
    x = model.qdq(model.input((6, 5, 4)), SX, -3)
    y = model.qdq(model.node("GlobalAveragePool", [x], "squeeze"), 0.01)
    y = model.node("Conv", [y, model.weight(rng.integers(-127, 128, (3, 6, 1, 1)), 0.01)], "reduce")
    y = model.qdq(model.node("Relu", [y]), 0.01, -128)
    y = model.node("Conv", [y, model.weight(rng.integers(-127, 128, (6, 3, 1, 1)), 0.02)], "expand")
    y = model.qdq(model.node("Sigmoid", [model.qdq(y, 0.03)], "gate"), 1 / 256, -128)
    y = model.qdq(model.node("Mul", [x, y], "excite"), 0.02)
    model.output(model.qdq(model.node("Add", [y, x], "residual"), 0.05))
    graph = load_onnx(model.save(tmp_path))
    feeds = {"input": values(6, 5, 4)}
    (ours,), (theirs,) = run_graph(graph, feeds).values(), runtime(model, [model.nodes[-2].output[0]], feeds)
    assert np.abs(ours - theirs.astype(np.int64)).max() <= 1 and (ours != theirs).mean() < 0.02
    check_machines(graph, {"input": feeds["input"][:2]})


@pytest.mark.parametrize("depth", [4, 13])
@pytest.mark.parametrize(("length", "channels"), [(1, 1), (1, 5), (7, 1), (7, 5)])
def test_a_linear_layer_of_every_position(length, channels, depth, tmp_path):
    rng, model = np.random.default_rng(depth), Model()
    codes, scale = rng.integers(-127, 128, (depth, channels)), rng.uniform(0.001, 0.02, channels).astype(F32)
    x = model.qdq(model.input((length, depth)), SX, 4)
    y = model.node("MatMul", [x, model.weight(codes, scale, axis=1)], "fc")
    bias = model.constant(rng.integers(-999, 999, channels) * (F32(SX) * np.float64(scale)))
    y = model.node("Add", [bias, y], "bias")
    model.output(model.qdq(model.node("Relu", [y], "act"), 0.07, -128))
    feeds = {"input": values(length, depth)}
    graph = check_everywhere(model, tmp_path, feeds, most=2)
    (layer,) = [node for node in graph.nodes if isinstance(node, Convolution)]
    assert graph.nodes[-1].name == "fc" and graph.nodes[-1].shape == (channels, length)
    np.testing.assert_array_equal(layer.weight.reshape(channels, depth), codes.T)
    (shown,) = run_graph(graph, feeds).values()
    assert shown.shape == (20, length, channels)


def test_sums_ascend_over_the_features(tmp_path):
    """Through an accumulator so narrow that another order gives other sums; plain integers are the oracle."""
    rng, model = np.random.default_rng(7), Model()
    codes = rng.integers(-127, 128, (9, 3))
    x = model.qdq(model.input((4, 9)), 1.0, -2)
    model.output(model.qdq(model.node("MatMul", [x, model.weight(codes, 1.0)], "fc"), 64.0))
    graph = load_onnx(model.save(tmp_path), Arithmetic(accumulator_bits=14))
    inputs = rng.integers(-128, 128, (6, 4, 9), dtype=np.int8)
    (ours,) = run_graph(graph, {"input": inputs}).values()
    overflows = 0
    for b, t, n in np.ndindex(6, 4, 3):
        left = [int(code) for code in inputs[b, t]]
        acc, overflowed = oracle.dot(left, codes[:, n].tolist(), 0, -2, 14, "saturate")
        assert ours[b, t, n] == oracle.requantize(acc, 1 << 23, 29, 0, -128, 127, "half_even")[0]
        overflows += overflowed
    _, counts = run_graph_counts(graph, {"input": inputs})
    assert overflows > 0 and sum(int(layer.overflows.sum()) for layer in counts.values()) == overflows


def test_layers_of_sequences_are_not_turned_back_and_forth(tmp_path):
    """Two heads read one sequence, and a third one reads the first: one transpose in front, one behind each."""
    rng, model = np.random.default_rng(0), Model()
    x = model.qdq(model.input((5, 8)), SX)

    def linear(source: str, name: str) -> str:
        return model.qdq(model.node("MatMul", [source, model.weight(rng.integers(-99, 99, (8, 8)), 0.01)], name), 0.1)

    first, second = linear(x, "first"), linear(x, "second")
    y = model.qdq(model.node("Add", [linear(first, "third"), second], "sum"), 0.1)
    model.output(model.qdq(model.node("Tanh", [y], "act"), 1 / 128))
    graph = load_onnx(model.save(tmp_path))
    turns = [node.name for node in graph.nodes if isinstance(node, Transpose)]
    assert sorted(turns) == ["first", "second", "second/turned", "third"] and isinstance(graph.nodes[-1], LookupTable)
    assert graph.tensor("third/codes").inputs == ("first/codes",)
    check_machines(graph, {"input": values(5, 8, samples=2)})
