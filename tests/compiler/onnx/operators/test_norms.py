"""LayerNormalization and RMSNormalization, as one operator and in steps."""

from __future__ import annotations

import numpy as np
import pytest

from compiler import load_onnx
from emulator import LayerNorm, RMSNorm
from tests.compiler.models import Model
from tests.compiler.onnx.row_models import SX, Build, compare, norm_model, norm_rows, one_layer, tokens
from tests.compiler.refusals import refused

F32 = np.float32
EPSILON = float(F32(1e-5))


def constants(seed: int, length: int) -> list[np.ndarray]:
    """γ of either sign, β."""
    rng = np.random.default_rng(seed)
    return [rng.normal(0, 1.2, length).astype(F32), rng.normal(0, 0.5, length).astype(F32)]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("kind", ["LayerNormalization", "RMSNormalization"])
def test_any_shape(kind, seed):
    rng = np.random.default_rng(seed)
    shape = tuple(int(rng.integers(1, most)) for most in (5, 7, 40)[int(rng.integers(0, 3)) :])
    zero, values = int(rng.integers(-128, 128)), constants(seed, shape[-1])
    given = values if kind == "LayerNormalization" and seed % 2 else values[:1]
    model = norm_model(kind, shape, given, opset=23, x_zero=zero, kind=str(rng.choice(["int8", "uint8"])))
    real = norm_rows(values[0], values[1] if len(given) == 2 else 0 * values[1], EPSILON, kind[0] == "L")
    found = compare(model, tokens(shape, seed, int(rng.integers(1, 5))), real, x_zero=zero)
    assert found.largest <= 1 and found.differing <= 3 and found.error <= 0.6
    (node,) = (node for node in found.graph.nodes if isinstance(node, LayerNorm | RMSNorm))
    assert node.shape == shape and isinstance(node, LayerNorm) == (kind == "LayerNormalization")


def in_steps(
    centered: bool = True,
    square: str = "Pow",
    quotient: str = "Div",
    gamma: np.ndarray | None = None,
    beta: np.ndarray | None = None,
) -> Build:
    """A norm as exporters write it."""

    def build(m: Model, x: str) -> str:
        def mean(y: str) -> str:
            axes = {"axes": [-1]} if m.opset < 18 else {}
            return m.node("ReduceMean", [y] if axes else [y, m.constant([-1], "int64")], **axes)

        d = m.node("Sub", [x, mean(x)], "difference") if centered else x
        squared = m.node("Pow", [d, m.constant(2.0)], "square") if square == "Pow" else m.node("Mul", [d, d], "square")
        root = m.node("Sqrt", [m.node("Add", [mean(squared), m.constant(EPSILON)], "added")], "root")
        if quotient == "Div":
            y = m.node("Div", [d, root], "unit")
        else:
            over = m.node("Reciprocal", [root]) if quotient == "Reciprocal" else m.node("Div", [m.constant(1.0), root])
            y = m.node("Mul", [over, d], "unit")
        y = y if gamma is None else m.node("Mul", [m.constant(gamma), y], "scale")
        return y if beta is None else m.node("Add", [y, m.constant(beta)], "bias")

    return build


@pytest.mark.parametrize("opset", [13, 21])
@pytest.mark.parametrize("square", ["Pow", "Mul"])
@pytest.mark.parametrize("quotient", ["Div", "Reciprocal", "one"])
@pytest.mark.parametrize("centered", [True, False])
def test_steps(centered, quotient, square, opset):
    gamma, beta = constants(4, 12)
    for terms in ({}, {"gamma": gamma}, {"gamma": gamma, "beta": beta[None, None]}):
        model = one_layer(in_steps(centered, square, quotient, **terms), (3, 12), 0.03, 5, opset=opset)
        own = terms.get("gamma", np.ones(12, F32)), terms.get("beta", np.zeros(12, F32)).reshape(-1)
        found = compare(model, tokens((3, 12), 7), norm_rows(*own, EPSILON, centered))
        assert found.largest <= 1 and found.differing <= 2 and found.error <= 0.6
        kinds = [type(node) for node in found.graph.nodes if isinstance(node, LayerNorm | RMSNorm)]
        assert kinds == [LayerNorm if centered else RMSNorm]


def test_quantized_scale_and_bias():
    """γ and β behind a DequantizeLinear are the real numbers that it makes of them."""
    rng = np.random.default_rng(3)
    gamma, beta = rng.integers(-127, 128, 9), rng.integers(-9999, 9999, 9)

    def build(m: Model, x: str) -> str:
        return m.node("LayerNormalization", [x, m.weight(gamma, 0.02), m.bias(beta, 0.0001)], "norm")

    real = norm_rows(gamma.astype(F32) * F32(0.02), beta.astype(F32) * F32(0.0001), EPSILON, True)
    found = compare(one_layer(build, (4, 9), 0.03, 5), tokens((4, 9), 3), real)
    assert found.largest <= 1 and found.error <= 0.6


def between(build: Build, length: int = 6) -> Model:
    """Between other layers, so that the host cannot take what is refused."""

    def network(m: Model, x: str) -> str:
        y = m.qdq(build(m, m.qdq(m.node("Sigmoid", [x]), SX, 7)), 0.03, 5)
        return m.node("MatMul", [y, m.qdq(m.constant(np.ones((length, 2))), 0.1)], "fc")

    return one_layer(network, (3, length), 0.1, 0, opset=23)


def test_steps_that_others_read_stay_apart(tmp_path):
    model = between(in_steps())
    assert any(isinstance(node, LayerNorm) for node in load_onnx(model.save(tmp_path)).nodes)
    difference = next(node.output[0] for node in model.nodes if node.name == "difference")
    weight = model.qdq(model.constant(np.ones((6, 2))), 0.1)
    model.output(model.qdq(model.node("MatMul", [model.qdq(difference, 0.1), weight], "other"), 0.1))
    refused(model, tmp_path, "Sub 'difference': reads the unrounded result of ReduceMean")


def layer(values: list[object], **attributes) -> Build:
    return lambda m, x: m.node("LayerNormalization", [x, *map(m.constant, values)], "norm", **attributes)


@pytest.mark.parametrize(("build", "text"), [
    (layer([np.ones(6)], axis=1), "LayerNormalization 'norm' (axis must be the last one, 2, not 1; a norm is one of r"),
    (layer([np.ones(6)], axis=0), "LayerNormalization 'norm' (axis must not be the batch's, as 0 is)"),
    (layer([np.ones(5)]), "LayerNormalization 'norm' (scale must have the shape (6,), as the rows, not (5,))"),
    (layer([np.ones((6, 1))]), "LayerNormalization 'norm' (scale must have the shape (6,), as the rows, not (6, 1))"),
    (layer([np.ones(6), np.ones(7)]), "LayerNormalization 'norm' (bias must have the shape (6,), as the rows, not (7,"),
    (layer([np.full(6, np.nan)]), "(scale 'constant_"),
    (layer([np.full(6, 2e3)]), "LayerNormalization 'norm': gamma must be below 2^16 · y_scale in magnitude"),
    (layer([np.ones(6)], epsilon=-1.0), "LayerNormalization 'norm': epsilon must be"),
    (lambda m, x: m.node("LayerNormalization", [x, x], "norm"), "must be a constant"),
    (lambda m, x: in_steps()(m, m.node("Add", [x, m.qdq(m.node("Neg", [x]), SX)], "sum")),
     "LayerNormalization 'unit' (reads the unrounded result of Add 'sum'"),
    (lambda m, x: m.node("SkipLayerNormalization", [x, x, m.constant(np.ones(6))], "skip", domain="com.microsoft"),
     "com.microsoft.SkipLayerNormalization 'skip' (its sum is never rounded; have the quantizer round an Add in front"),
])  # fmt: skip
def test_refusals(build, text, tmp_path):
    refused(between(build), tmp_path, text)


def test_rows_that_are_too_long(tmp_path):
    text = "LayerNormalization 'norm' (rows must have 1 to 4096 elements, not 4097 (axis 2))"
    refused(between(layer([np.ones(4097)]), 4097), tmp_path, text)
