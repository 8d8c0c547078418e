"""What works on each channel alone, right behind a Concat that nothing has rounded, and means of affine maps."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from compiler import load_onnx
from emulator import AveragePool, Concat, LookupTable, run_graph
from tests.compiler.expected import F32, images
from tests.compiler.machines import check_machines
from tests.compiler.models import Model, check_against_runtime, runtime

SCALES = (0.0371, 0.0219)


def joined(build, axis: int = 1) -> Model:
    """Two quantized inputs of different scales, joined, then what `build` adds."""
    model = Model()
    parts = [model.qdq(model.input((4, 3, 5), name), scale, 3) for name, scale in zip("ab", SCALES, strict=True)]
    model.output(model.qdq(build(model, model.node("Concat", parts, "join", axis=axis)), 0.0173, -7))
    return model


def inputs(count: int = 20) -> dict[str, np.ndarray]:
    return {name: images((count, 4, 3, 5), seed, 1.5)["input"] for seed, name in enumerate("ab")}


def norm(m: Model, y: str) -> str:
    rng = np.random.default_rng(3)
    return m.node("BatchNormalization", [y, *(m.constant(rng.uniform(0.5, 1.5, 8)) for _ in range(4))], "norm")


@pytest.mark.parametrize("build", [
    lambda m, y: m.node("GlobalAveragePool", [y], "pool"),
    lambda m, y: m.node("AveragePool", [y], "pool", kernel_shape=[2, 2], strides=[1, 2]),
    lambda m, y: m.node("Sigmoid", [y], "act"),
    lambda m, y: m.node("Tanh", [m.node("Relu", [y])], "act"),
    lambda m, y: m.node("LeakyRelu", [y], "act", alpha=0.3),
], ids=["global", "average", "sigmoid", "tanh", "leaky"])  # fmt: skip
def test_pools_and_functions_go_to_the_parts(build, tmp_path):
    model, x = joined(build), inputs()
    graph, differing = check_against_runtime(model, tmp_path, x)
    kinds = [type(node) for node in graph.nodes]
    assert differing <= 2 and kinds[-1] is Concat and kinds.count(AveragePool) + kinds.count(LookupTable) == 2
    check_machines(graph, {name: array[:1] for name, array in x.items()})


def test_a_function_goes_to_parts_along_any_axis(tmp_path):
    x = inputs()
    _, differing = check_against_runtime(joined(lambda m, y: m.node("Tanh", [y], "act"), axis=2), tmp_path, x)
    assert differing <= 2


@pytest.mark.parametrize("layer", [False, True], ids=["codes", "sums"])
def test_clamps_of_parts_hold_before_those_of_the_whole(layer, tmp_path):
    model, rng = Model(), np.random.default_rng(5)
    parts = [model.qdq(model.input((4, 3, 5), name), scale, 3) for name, scale in zip("ab", SCALES, strict=True)]
    if layer:
        parts[0] = model.node("Conv", [parts[0], model.weight(rng.integers(-127, 128, (4, 4, 1, 1)), 0.005)], "conv")
    parts[0] = model.node("Clip", [parts[0], model.constant(-0.4), model.constant(0.3)], "clip")
    y = model.node("Relu", [model.node("Concat", parts, "join", axis=1)], "relu")
    model.output(model.qdq(model.node("LeakyRelu" if layer else "Tanh", [y], "act"), 0.0073, -7))
    if not layer:
        _, differing = check_against_runtime(model, tmp_path, inputs())
        assert differing <= 2
    else:
        graph = load_onnx(model.save(tmp_path))
        (ours,), (real,) = run_graph(graph, inputs()).values(), runtime(model, [model.nodes[-2].input[0]], inputs())
        error = max(graph.metadata["bias_errors"].values())
        assert np.abs(ours - np.clip(real / 0.0073 - 7, -128, 127)).max() < 0.51 + error and error < 1


@pytest.mark.parametrize("mean", [False, True])
def test_batch_normalization_of_parts_and_its_mean(mean, tmp_path):
    model = joined(lambda m, y: m.node("GlobalAveragePool", [norm(m, y)], "pool") if mean else norm(m, y))
    graph, x = load_onnx(model.save(tmp_path)), inputs()
    if mean:
        assert all(not isinstance(node, AveragePool) for node in graph.nodes)
    (ours,), (real,) = run_graph(graph, x).values(), runtime(model, [model.nodes[-2].input[0]], x)
    error = max(graph.metadata["bias_errors"].values())
    assert 0 < error < 0.02 and ours.std() > 5
    for code, value in zip(ours.reshape(-1).tolist(), real.reshape(-1).tolist(), strict=True):
        exact = Fraction(value) / Fraction(float(F32(0.0173))) - 7
        assert min(max(exact, -128), 127) - Fraction(1, 2) - Fraction(error) - Fraction(1, 1 << 10) <= code
        assert code <= min(max(exact, -128), 127) + Fraction(1, 2) + Fraction(error) + Fraction(1, 1 << 10)
    check_machines(graph, {name: array[:1] for name, array in x.items()})


@pytest.mark.parametrize("op", ["GlobalAveragePool", "ReduceMean"])
def test_a_mean_of_an_affine_map_is_one_rounding(op, tmp_path):
    """Two roundings, of the map and of its mean, would differ in a third of the codes."""
    model = Model()
    x = model.qdq(model.input((8, 4, 5)), 0.0371, 3)
    axes = [] if op == "GlobalAveragePool" else [model.constant([2, 3], "int64")]
    model.output(model.qdq(model.node(op, [norm(model, x), *axes], "pool"), 0.0091, -7))
    feeds = images((300, 8, 4, 5), spread=0.3)
    graph = load_onnx(model.save(tmp_path))
    (ours,), (real,) = run_graph(graph, feeds).values(), runtime(model, [model.nodes[-2].input[0]], feeds)
    exact = np.clip(np.rint(real.astype(float) / float(F32(0.0091))) - 7, -128, 127)
    assert len(graph.nodes) == 1 and np.count_nonzero(ours != exact) < 0.01 * ours.size
    check_machines(graph, {"input": feeds["input"][:1]})


@pytest.mark.parametrize("op", ["GlobalAveragePool", "AveragePool"])
def test_a_convolution_of_a_mean_is_one_rounding(op, tmp_path):
    """Its kernel is the mean's window, with a float bias as it is."""
    model, rng = Model(), np.random.default_rng(3)
    x = model.qdq(model.input((4, 6, 4)), 0.0371, 3)
    window = {} if op == "GlobalAveragePool" else {"kernel_shape": [3, 2], "strides": [3, 2]}
    weight = model.weight(rng.integers(-127, 128, (5, 4, 1, 1)), [0.01, 0.02, 0.013, 0.017, 0.011])
    y = model.node("Conv", [model.node(op, [x], "pool", **window), weight, model.constant(rng.normal(size=5))], "conv")
    model.output(model.qdq(y, 0.0173, -7))
    graph, feeds = load_onnx(model.save(tmp_path)), images((50, 4, 6, 4))
    assert len(graph.nodes) == 1
    (ours,), (real,) = run_graph(graph, feeds).values(), runtime(model, [model.nodes[-2].input[0]], feeds)
    exact = real.astype(float) / float(F32(0.0173)) - 7
    error = graph.metadata["bias_errors"]["conv"]
    assert np.abs(ours - np.clip(exact, -128, 127)).max() <= 0.5 + error + 2.0**-12 and error < 0.01 and ours.std() > 5
    check_machines(graph, {"input": feeds["input"][:1]})
