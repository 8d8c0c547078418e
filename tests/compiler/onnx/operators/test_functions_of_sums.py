"""PRelu, LeakyRelu, HardSigmoid and other functions that stand right behind a layer's sums."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from compiler import load_onnx
from emulator import Add, LookupTable, run_graph
from tests.compiler.expected import F32, images
from tests.compiler.machines import check_everywhere, check_machines
from tests.compiler.models import Model, runtime
from tests.compiler.refusals import refused

SX, SY = 0.0371, 0.0613
SLOPES = np.array([0.25, 0.1, 1.75, 0.0], F32)
MIXED = np.array([0.25, -0.5, 1.0, -2.0], F32)


def behind(layer: str, build, shape=None, zero: int = -7, **options) -> Model:
    """Conv or Gemm with a bias, what `build` adds, QuantizeLinear."""
    model, rng = Model(), np.random.default_rng(3)
    shape = shape or ((3, 4, 5) if layer == "Conv" else (6,))
    weight = rng.integers(-127, 128, (4, 3, 2, 2) if layer == "Conv" else (4, 6))
    scale = np.array([0.01, 0.02, 0.007, 0.015], F32)
    x = model.qdq(model.input(shape), SX, 3)
    bias = model.bias([40, -50, 60, 70], F32(SX) * scale)
    y = model.node(layer, [x, model.weight(weight, scale), bias], "layer", **({"transB": 1} if layer == "Gemm" else {}))
    model.output(model.qdq(build(model, y), options.get("scale", SY), zero))
    return model


def column(values: np.ndarray, layer: str) -> np.ndarray:
    return values.reshape(4, 1, 1) if layer == "Conv" else values


@pytest.mark.parametrize("slopes", [SLOPES, MIXED], ids=["positive", "mixed"])
@pytest.mark.parametrize("layer", ["Conv", "Gemm"])
def test_prelu_behind_sums_is_one_rounding(layer, slopes, tmp_path):
    model = behind(layer, lambda m, y: m.node("PRelu", [y, m.constant(column(slopes, layer))], "act"))
    x = images((60, 3, 4, 5) if layer == "Conv" else (300, 6))
    graph = check_everywhere(model, tmp_path, x, most=2)
    assert isinstance(graph.nodes[-1], Add) == bool((slopes >= 0).all())


def test_leaky_relu_behind_sums(tmp_path):
    model = behind("Conv", lambda m, y: m.node("LeakyRelu", [y], "act", alpha=0.3))
    check_everywhere(model, tmp_path, images((60, 3, 4, 5)), most=2)


@pytest.mark.parametrize("shape", [(4, 3, 5), (4, 6), (4,)], ids=str)
@pytest.mark.parametrize("slopes", [SLOPES, MIXED], ids=["positive", "mixed"])
def test_prelu_of_a_quantized_tensor(shape, slopes, tmp_path):
    model = Model()
    slope = model.constant(slopes.reshape(-1, *(1 for _ in shape[1:])))
    y = model.node("PRelu", [model.qdq(model.input(shape), SX, 3), slope], "act")
    model.output(model.qdq(model.node("Clip", [y, model.constant(-1.0), model.constant(5.0)]), SY, -7))
    check_everywhere(model, tmp_path, images((40, *shape)), most=2)


def test_prelu_with_a_slope_for_each_element_and_with_one(tmp_path):
    model = Model()
    x = model.qdq(model.input((2, 3, 4)), SX, 3)
    y = model.node("PRelu", [x, model.constant(np.linspace(-0.5, 0.9, 24).reshape(2, 3, 4))], "each")
    y = model.node("PRelu", [model.qdq(y, SY, -7), model.constant([[[0.2]]])], "one")
    model.output(model.qdq(y, SY, -7))
    graph = check_everywhere(model, tmp_path, images((40, 2, 3, 4)), most=2)
    assert isinstance(graph.nodes[-1], LookupTable)


def test_a_narrow_clip_behind_prelu(tmp_path):
    def build(m: Model, y: str) -> str:
        y = m.node("PRelu", [y, m.constant(column(MIXED, "Conv"))], "act")
        return m.node("Clip", [y, m.constant(0.5), m.constant(2.5)])

    graph = check_everywhere(behind("Conv", build), tmp_path, images((60, 3, 4, 5)), most=2)
    assert (graph.nodes[-1].y_min, graph.nodes[-1].y_max) == (round(0.5 / SY) - 7, round(2.5 / SY) - 7)


def test_hard_sigmoid_behind_sums_is_a_clamp(tmp_path):
    model = behind("Conv", lambda m, y: m.node("HardSigmoid", [y], "gate", alpha=1 / 6), scale=1 / 255, zero=-128)
    graph, x = load_onnx(model.save(tmp_path)), images((40, 3, 4, 5), spread=1.0)
    (node,) = graph.nodes
    assert (node.y_min, node.y_max) == (-128, 127)
    (ours,), (real,) = run_graph(graph, x).values(), runtime(model, [model.nodes[-2].input[0]], x)
    exact = [Fraction(float(v)) * 255 - 128 for v in real.reshape(-1)]
    error = Fraction(graph.metadata["bias_errors"]["layer"]) + Fraction(1, 1 << 10)
    assert 0 < error < 0.02 and ours.std() > 20
    assert all(
        abs(code - value) <= Fraction(1, 2) + error
        for code, value in zip(ours.reshape(-1).tolist(), exact, strict=True)
    )


def silu(m: Model, y: str) -> str:
    return m.node("Mul", [y, m.node("Sigmoid", [y], "gate")], "act")


def hard_swish(m: Model, y: str) -> str:
    gate = m.node("Clip", [m.node("Add", [y, m.constant(3.0)]), m.constant(0.0), m.constant(6.0)])
    return m.node("Div", [m.node("Mul", [y, gate]), m.constant(6.0)], "act")


FUNCTIONS = {
    "HardSwish": (lambda m, y: m.node("HardSwish", [y], "act"), lambda v: v * min(max(v + 3, 0.0), 6.0) / 6),
    "steps": (hard_swish, lambda v: v * min(max(v + 3, 0.0), 6.0) / 6),
    "SiLU": (silu, lambda v: v / (1 + math.exp(-v))),
    "Sigmoid": (lambda m, y: m.node("Sigmoid", [y], "act"), lambda v: 1 / (1 + math.exp(-v))),
    "Tanh": (lambda m, y: m.node("Tanh", [y], "act"), math.tanh),
    "Elu": (lambda m, y: m.node("Elu", [y], "act"), lambda v: v if v > 0 else math.expm1(v)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_any_other_function_has_sums_with_codes_of_their_own(name, tmp_path):
    """No result is farther from the exact one than a rounding and the error that the metadata state."""
    build, function = FUNCTIONS[name]
    scale, zero = {"Sigmoid": (1 / 256, -128), "Tanh": (1 / 128, 0)}.get(name, (0.021, -100))
    model = behind("Conv", build, scale=scale, zero=zero)
    graph, x = load_onnx(model.save(tmp_path)), images((40, 3, 4, 5), spread=1.0)
    stated = graph.metadata["second_roundings"]["act"]
    assert stated["layer"] == "act/sums" and graph.metadata["bias_errors"]["act"] == stated["error"]
    sums = graph.tensor("act/sums")
    assert (sums.scale, sums.zero_point) == (stated["scale"], stated["zero_point"])
    (ours,) = run_graph(graph, x).values()
    (conv,) = runtime(model, [next(n.output[0] for n in model.nodes if n.name == "layer")], x)
    exact = np.array([function(float(v)) for v in conv.reshape(-1)]) / float(F32(scale)) + zero
    difference = np.abs(ours.reshape(-1) - np.clip(exact, -128, 127))
    assert difference.max() <= 0.5 + stated["error"] + 0.01 and ours.std() > 5
    assert difference.max() > 0.5 and 0.2 < stated["error"] <= 2
    check_machines(graph, {"input": x["input"][:1]})


def test_codes_of_the_sums_cover_what_the_result_depends_on(tmp_path):
    """Sigmoid at 1/256: the code −128 up to −6.24, the code 127 from 5.13 on."""
    model = behind("Conv", FUNCTIONS["Sigmoid"][0], scale=1 / 256, zero=-128)
    sums = load_onnx(model.save(tmp_path)).tensor("act/sums")
    low, high = ((code - sums.zero_point) * sums.scale for code in (-128, 127))
    grid = 2 ** (1 / 16) * 1.01
    assert -math.log(511) * grid < low < -math.log(511)
    assert math.log(254.5 / 1.5) < high < math.log(254.5 / 1.5) * grid


def test_refusals(tmp_path):
    model = behind("Conv", lambda m, y: m.node("Sin", [y], "act"))
    refused(
        model, tmp_path, "Sin 'act': is a function of sums that nothing has rounded, and 2^8 codes for them would move"
    )
    model = behind("Conv", lambda m, y: m.node("PRelu", [y, m.constant(column(MIXED * 2, "Conv"))], "act"))
    refused(model, tmp_path, "PRelu 'act': slopes must be at least 0, or none of them above 1")
    model = behind("Conv", lambda m, y: m.node("PRelu", [y, m.constant(np.ones((3, 1, 1)))], "act"))
    refused(model, tmp_path, "PRelu 'act': constants behind sums must have the shape (4, 1, 1), not (3, 1, 1)")


@pytest.mark.parametrize(("exponent", "first"), [(2.0, False), (3.0, False), (-2.0, False), (1.5, True)])
def test_powers_are_tables(exponent, first, tmp_path):
    """Of a tensor to a number, and of a number to a tensor."""
    model = Model()
    x, number = model.qdq(model.input((4, 5)), 0.0371, 3), model.constant(exponent)
    model.output(model.qdq(model.node("Pow", [number, x] if first else [x, number], "power"), 0.0613, -20))
    feeds = images((20, 4, 5))
    feeds["input"] += np.where(np.abs(feeds["input"]) < 0.05, np.float32(0.1), 0)
    graph = check_everywhere(model, tmp_path, feeds, most=4)
    assert isinstance(graph.nodes[-1], LookupTable)
