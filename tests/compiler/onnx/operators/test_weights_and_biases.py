"""Weights with a zero point, and biases of every kind, against exact arithmetic and ONNX Runtime."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from compiler import load_onnx
from emulator import run_graph
from tests.compiler.expected import F32, images, multiplier_of
from tests.compiler.machines import check_machines
from tests.compiler.models import Model, check_against_runtime, runtime

SX, SY = 0.0371, 0.3


def layer(op: str, weight: tuple, kind: str, zero: object, bias=None, shape=(5, 6, 4)) -> Model:
    """One layer; weight: (codes' shape, scale), bias: model → name."""
    model, rng = Model(), np.random.default_rng(7)
    low, high = {"int8": (-128, 127), "uint8": (0, 255)}[kind]
    codes = rng.integers(low, high + 1, weight[0])
    scale = np.asarray(weight[1], F32)
    x = model.qdq(model.input(shape), SX, 3)
    axis = {"axis": 0} if scale.ndim else {}
    w = model.dequantize(model.constant(codes, kind), scale, np.broadcast_to(zero, scale.shape), kind, **axis)
    inputs = [x, w] + ([bias(model)] if bias else [])
    y = model.node(op, inputs, "layer", **({"transB": 1} if op == "Gemm" else {}))
    model.output(model.qdq(y, SY, -4))
    return model


@pytest.mark.parametrize(("kind", "zero"), [("uint8", 131), ("uint8", 0), ("uint8", 255), ("int8", -9), ("int8", 127)])
@pytest.mark.parametrize("op", ["Conv", "Gemm"])
def test_a_weight_zero_point_is_a_number_of_the_layer(op, kind, zero, tmp_path):
    shape = ((4, 5, 3, 2), (5, 6, 4)) if op == "Conv" else ((4, 12), (12,))
    model = layer(op, (shape[0], 0.01), kind, zero, shape=shape[1])
    graph, differing = check_against_runtime(model, tmp_path, images((40, *shape[1])))
    shift = 128 if kind == "uint8" else 0
    assert graph.nodes[-1].weight_zero_point.tolist() == [zero - shift] * 4
    assert differing == 0


def test_weight_zero_points_per_channel(tmp_path):
    zero = [131, 128, 7, 200]
    model = layer("Conv", ((4, 5, 3, 2), [0.01, 0.02, 0.03, 0.011]), "uint8", zero)
    graph, differing = check_against_runtime(model, tmp_path, images((40, 5, 6, 4)))
    assert graph.nodes[-1].weight_zero_point.tolist() == [3, 0, -121, 72]
    assert differing == 0


def test_uint8_weights_around_128_have_no_zero_point(tmp_path):
    graph = load_onnx(layer("Gemm", ((4, 12), 0.01), "uint8", 128, shape=(12,)).save(tmp_path))
    assert graph.nodes[-1].weight_zero_point is None


def foreign(model: Model) -> str:
    return model.bias([70, -8, 9000, 3], F32(0.011))


@pytest.mark.parametrize(("bias", "real"), [
    (foreign, np.array([70, -8, 9000, 3]) * F32(0.011)),
    (lambda m: m.dequantize(m.constant([7, -8, 99, 3], "int8"), 0.07, 0, "int8"), np.array([7, -8, 99, 3]) * F32(0.07)),
    (lambda m: m.dequantize(m.constant([7, 8, 250, 3], "uint8"), 0.07, 9, "uint8"),
     np.array([-2, -1, 241, -6]) * F32(0.07)),
])  # fmt: skip
def test_a_bias_of_any_scale_is_requantized_as_a_float_one(bias, real, tmp_path):
    scale = np.array([0.01, 0.02, 0.03, 0.011], F32)
    graph = load_onnx(layer("Conv", ((4, 5, 3, 2), scale), "int8", 0, bias).save(tmp_path))
    node, steps = graph.nodes[-1], [Fraction(float(F32(SX))) * Fraction(float(s)) for s in scale]
    rounded = [round(Fraction(float(F32(r))) / step) for r, step in zip(real, steps, strict=True)]
    assert node.bias.tolist() == rounded
    errors = [abs(Fraction(float(F32(r))) - b * s) for r, b, s in zip(real, rounded, steps, strict=True)]
    assert graph.metadata["bias_errors"]["layer"] == pytest.approx(float(max(errors)) / SY, rel=1e-6)


def test_only_the_channels_of_a_foreign_scale_are_requantized(tmp_path):
    scale = np.array([0.01, 0.02, 0.03, 0.011], F32)
    steps = F32(SX) * scale
    steps[2] *= F32(1.5)
    model = layer("Conv", ((4, 5, 3, 2), scale), "int8", 0, lambda m: m.bias([70, -8, 9, 3], steps))
    graph = load_onnx(model.save(tmp_path))
    assert graph.nodes[-1].bias.tolist() == [70, -8, round(9 * 1.5), 3]


def test_one_bias_and_one_weight_of_two_layers(tmp_path):
    """Each layer takes the bias in steps of its own."""
    model, rng = Model(), np.random.default_rng(2)
    x = model.input((6,))
    weight = model.weight(rng.integers(-127, 128, (3, 6)), 0.02)
    bias = model.bias([500, -600, 700], F32(0.02) * F32(0.02))
    a = model.node("Gemm", [model.qdq(x, 0.02), weight, bias], "a", transB=1)
    b = model.node("Gemm", [model.qdq(model.node("Relu", [model.qdq(a, 0.1)]), 0.05), model.weight(
        rng.integers(-127, 128, (3, 3)), 0.02), bias], "b", transB=1)  # fmt: skip
    model.output(model.qdq(b, 0.3))
    graph = load_onnx(model.save(tmp_path))
    by_name = {node.name: node for node in graph.nodes}
    assert by_name["a"].bias.tolist() == [500, -600, 700]
    assert by_name["b"].bias.tolist() == [200, -240, 280]


def test_a_bias_given_twice_is_added_in_real_numbers(tmp_path):
    model, rng = Model(), np.random.default_rng(2)
    weight, scale = rng.integers(-127, 128, (3, 6)), np.array([0.01, 0.02, 0.03], F32)
    y = model.node("Gemm", [model.qdq(model.input((6,)), 0.02), model.weight(weight, scale),
                   model.bias([50, -60, 70], F32(0.02) * scale)], "fc", transB=1)  # fmt: skip
    y = model.node("Add", [y, model.constant([0.5, -0.25, 3.0])], "twice")
    y = model.node("Add", [y, model.constant([[1.0]])], "thrice")
    model.output(model.qdq(y, 0.05))
    graph, differing = check_against_runtime(model, tmp_path, images((300, 6)))
    steps = [Fraction(float(F32(0.02))) * Fraction(float(s)) for s in scale]
    expected = [b + round(Fraction(r) / s) for b, r, s in zip([50, -60, 70], [1.5, 0.75, 4.0], steps, strict=True)]
    assert graph.nodes[-1].bias.tolist() == expected
    assert graph.nodes[-1].multiplier[0] == multiplier_of(float(F32(0.02)) * float(scale[0]) / float(F32(0.05)))[0]
    assert differing <= 30
    assert set(run_graph(graph, images((1, 6)))) == set(graph.outputs)


@pytest.mark.parametrize(("alpha", "beta"), [(0.5, 1.0), (-0.7, 2.0), (1.0, 0.3), (1.5, 0.0)])
def test_alpha_and_beta_of_a_gemm(alpha, beta, tmp_path):
    model, rng = Model(), np.random.default_rng(2)
    weight = model.weight(rng.integers(-127, 128, (3, 6)), np.array([0.01, 0.02, 0.03], F32))
    inputs = [model.qdq(model.input((6,)), SX), weight, model.constant([0.5, -0.25, 3.0])]
    model.output(model.qdq(model.node("Gemm", inputs, "fc", transB=1, alpha=alpha, beta=beta), 0.0513))
    graph, x = load_onnx(model.save(tmp_path)), images((300, 6))
    (ours,), (real,) = run_graph(graph, x).values(), runtime(model, [model.nodes[-2].input[0]], x)
    exact = np.clip(real.astype(float) / float(F32(0.0513)), -128, 127)
    assert np.abs(ours - exact).max() <= 0.5 + graph.metadata["bias_errors"]["fc"] + 2.0**-10 and len(graph.nodes) == 1


@pytest.mark.parametrize("shape", [(6,), (5, 6), (2, 3, 6)], ids=str)
def test_matmul_and_a_bias_in_all_ranks(shape, tmp_path):
    model, rng = Model(), np.random.default_rng(2)
    weight = model.weight(rng.integers(-127, 128, (6, 3)), np.array([0.01, 0.02, 0.03], F32), axis=1)
    y = model.node("MatMul", [model.qdq(model.input(shape), SX, 3), weight], "product")
    bias = model.constant(np.array([0.5, -0.25, 3.0]).reshape([1] * (len(shape) - 1) + [3]))
    model.output(model.qdq(model.node("Relu", [model.node("Add", [bias, y], "biased")], "act"), 0.0513, -100))
    graph, x = load_onnx(model.save(tmp_path)), images((40, *shape))
    (ours,), (real,) = run_graph(graph, x).values(), runtime(model, [model.nodes[-2].input[0]], x)
    exact = np.clip(real.astype(float) / float(F32(0.0513)) - 100, -128, 127)
    error = max(graph.metadata["bias_errors"].values())
    assert ours.shape == exact.shape and np.abs(ours - exact).max() <= 0.5 + error + 2.0**-10 and 0 < error < 0.05
    check_machines(graph, {"input": x["input"][:1]})
