"""Operators that need codes of what a file does not round: they are derived, and their error is stated and kept."""

from __future__ import annotations

import math

import numpy as np
import pytest

from compiler import load_onnx
from emulator import run_graph
from tests.compiler.expected import F32, images
from tests.compiler.machines import check_machines
from tests.compiler.models import Model, runtime
from tests.compiler.refusals import refused

SX, SY = 0.0371, 0.0713


def conv(m: Model, x: str, scale: float = 0.01, name: str = "conv") -> str:
    weight = m.weight(np.random.default_rng(3).integers(-127, 128, (4, 4, 1, 1)), scale)
    return m.node("Conv", [x, weight, m.constant([0.1, -0.2, 0.3, 0.0])], name)


def clipped(m: Model, y: str) -> str:
    return m.node("Clip", [y, m.constant(-1.0), m.constant(2.0)])


def norm(m: Model, y: str, gain: float = 1.0) -> str:
    rng = np.random.default_rng(3)
    values = [rng.uniform(0.5, 1.5, 4) * (gain if index == 0 else 1) for index in range(4)]
    return m.node("BatchNormalization", [y, *map(m.constant, values)], "layer")


def built(build, scale: float = SY, zero: int = -7) -> Model:
    model = Model()
    model.output(model.qdq(build(model, model.qdq(model.input((4, 3, 5)), SX, 3)), scale, zero))
    return model


CASES = {
    "add": lambda m, x: m.node("Add", [conv(m, x), x], "layer"),
    "added": lambda m, x: m.node("Relu", [m.node("Add", [x, conv(m, x)], "layer")]),
    "minus": lambda m, x: m.node("Sub", [conv(m, x), x], "layer"),
    "from": lambda m, x: m.node("Sub", [x, m.node("Relu", [conv(m, x)])], "layer"),
    "leaky": lambda m, x: m.node("Add", [m.node("LeakyRelu", [conv(m, x)], alpha=0.1), x], "layer"),
    "gate": lambda m, x: m.node("Mul", [x, m.node("HardSigmoid", [conv(m, x)])], "layer"),
    "both": lambda m, x: m.node("Mul", [m.node("Sigmoid", [x]), clipped(m, conv(m, x))], "layer"),
    "norm": lambda m, x: norm(m, m.node("Tanh", [x])),
    "pool": lambda m, x: m.node("AveragePool", [m.node("Sigmoid", [x])], "layer", kernel_shape=[2, 2]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_no_result_is_farther_off_than_a_rounding_and_the_stated_error(name, tmp_path):
    scale, zero = {"norm": (0.0217, 5), "pool": (1 / 120, -60), "both": (0.013, 0)}.get(name, (SY, -7))
    model = built(CASES[name], scale, zero)
    graph, x = load_onnx(model.save(tmp_path)), images((60, 4, 3, 5), spread=2.0)
    stated = graph.metadata["second_roundings"]["layer"]
    between = graph.tensor(stated["layer"])
    assert (between.scale, between.zero_point) == (stated["scale"], stated["zero_point"])
    assert 0.05 < stated["error"] <= 2 and graph.metadata["bias_errors"]["layer"] >= stated["error"]
    (ours,), (real,) = run_graph(graph, x).values(), runtime(model, [model.nodes[-2].input[0]], x)
    exact = np.clip(real.astype(float) / float(F32(scale)) + zero, -128, 127)
    # A float bias is rounded in front, too, and two operands may be such codes.
    error = sum(each["error"] for each in graph.metadata["second_roundings"].values()) + 0.02
    assert 0.5 < np.abs(ours - exact).max() <= 0.5 + error and ours.std() > 5
    check_machines(graph, {"input": x["input"][:1]})


def test_codes_cover_what_the_sum_depends_on(tmp_path):
    """y from −8.6 to 9.6 less x from −4.9 to 4.6: −13.2 to 14.5 for the sums."""
    graph = load_onnx(built(CASES["add"]).save(tmp_path))
    between = graph.tensor("layer/operand")
    low, high = ((code - between.zero_point) * between.scale for code in (-128, 127))
    ends = [SY * (code + 7) for code in (-128, 127)], [SX * (code - 3) for code in (-128, 127)]
    assert math.isclose(low, ends[0][0] - ends[1][1], abs_tol=between.scale)
    assert math.isclose(high, ends[0][1] - ends[1][0], abs_tol=between.scale)


@pytest.mark.parametrize(("build", "text"), [
    (lambda m, x: m.node("Add", [conv(m, x), conv(m, x, name="other")], "layer"),
     "Add 'layer': reads the unrounded result of Conv 'conv'; a QuantizeLinear must stand between"),
    (lambda m, x: m.node("Mul", [conv(m, x), x], "layer"), "Mul 'layer': reads the unrounded result of Conv 'conv'"),
    (lambda m, x: norm(m, m.node("Tanh", [x]), 9.0), "layer 'layer': reads what 'layer/operand' makes, which the fi"),
    (lambda m, x: m.node("Add", [conv(m, x), m.qdq(m.node("MaxPool", [x], kernel_shape=[2, 2]), SX)], "layer"),
     "Add 'layer': the inputs must have shapes that broadcast"),
])  # fmt: skip
def test_refusals(build, text, tmp_path):
    refused(built(build, 0.0113), tmp_path, text)
