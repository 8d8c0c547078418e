"""Factors and offsets: BatchNormalization and constants behind sums and beside quantized tensors."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from compiler import ModelError, load_onnx
from emulator import Arithmetic, ConstantTensor, run_graph
from tests.compiler.expected import F32, images, multiplier_of
from tests.compiler.machines import check_everywhere, check_machines
from tests.compiler.models import Model, check_against_runtime, runtime
from tests.compiler.refusals import refused

SX, SY = 0.0371, 0.0423
GAIN, SHIFT = np.array([1.5, -0.7, 0.0, 0.3], F32), np.array([0.1, -0.2, 0.35, 2.0], F32)
MEAN, VARIANCE = np.array([0.3, 0.1, -0.4, 0.9], F32), np.array([1.0, 2.0, 0.5, 0.01], F32)


def batch_norm(m: Model, x: str) -> str:
    return m.node("BatchNormalization", [x, *map(m.constant, (GAIN, SHIFT, MEAN, VARIANCE))], "norm")


def exact_norm(real: Fraction, channel: int) -> Fraction:
    gain = float(GAIN[channel]) / np.sqrt(float(VARIANCE[channel]) + float(F32(1e-5)))
    return Fraction(gain) * (real - Fraction(float(MEAN[channel]))) + Fraction(float(SHIFT[channel]))


def check_real(ours: np.ndarray, real: list[Fraction], step: float, zero: int, error: float) -> None:
    """Every code is the rounded real number, or the real number lies within `error` codes of the tie between them."""
    for code, value in zip(ours.reshape(-1).tolist(), real, strict=True):
        exact = value / Fraction(float(F32(step))) + zero
        if -128 < code < 127:
            assert abs(exact - code) <= Fraction(1, 2) + Fraction(error) + Fraction(1, 1 << 20)
        else:
            assert exact >= 126.5 - error if code == 127 else exact <= -127.5 + error


@pytest.mark.parametrize("shape", [(4,), (4, 5), (4, 3, 5)], ids=str)
def test_batch_normalization_of_a_quantized_tensor(shape, tmp_path):
    model = Model()
    model.output(model.qdq(batch_norm(model, model.qdq(model.input(shape), SX, 3)), SY, -7))
    graph, x = load_onnx(model.save(tmp_path)), images((6, *shape))
    (ours,) = run_graph(graph, x).values()
    codes = np.rint(x["input"] / F32(SX)).clip(-131, 124).astype(int)
    step, area = Fraction(float(F32(SX))), int(np.prod(shape[1:]))
    real = [exact_norm(code * step, i // area % 4) for i, code in enumerate(codes.reshape(-1).tolist())]
    error = graph.metadata["bias_errors"]["norm"]
    assert 0 < error < 0.05
    check_real(ours, real, SY, -7, error)
    check_machines(graph, {"input": x["input"][:2]})


def test_batch_normalization_is_not_of_the_columns_of_a_sequence(tmp_path):
    """Its channels are the rows there: as many rows as columns must not be taken for the columns."""
    model = Model()
    weight = model.weight(np.arange(-6, 6).reshape(3, 4), 0.01)
    y = model.node("MatMul", [model.qdq(model.input((4, 3)), SX, 3), weight], "product")
    model.output(model.qdq(batch_norm(model, y), SY, -7))
    refused(model, tmp_path, "BatchNormalization 'norm': reads the unrounded result of MatMul 'product'")


@pytest.mark.parametrize("op", ["Add", "Mul", "Max", "Pow"])
@pytest.mark.parametrize("sums", [False, True], ids=["codes", "sums"])
def test_constants_that_would_give_the_result_more_axes(op, sums, tmp_path):
    """ONNX broadcasts both ways: (batch, 4) and (1, 1, 1) are (1, batch, 4)."""
    model = Model()
    x = model.qdq(model.input((4,)), SX, 3)
    x = model.node("MatMul", [x, model.weight(np.arange(-8, 8).reshape(4, 4), 0.01)], "product") if sums else x
    model.output(model.qdq(model.node(op, [x, model.constant([[[2.0]]], name="number")], "op"), SY))
    refused(model, tmp_path, f"{op} 'op': constant 'number' has 3 axes, which the result would have, too")


@pytest.mark.parametrize("op", ["Conv", "Gemm", "MatMul"])
def test_batch_normalization_behind_sums(op, tmp_path):
    """The gain goes into the multipliers, a negative one into the weights' sign; no layer is added."""
    model, rng = Model(), np.random.default_rng(3)
    shape = (4, 3, 2, 2) if op == "Conv" else (4, 3) if op == "Gemm" else (3, 4)
    codes = rng.integers(-128, 128, shape)
    scale = np.array([0.01, 0.02, 0.03, 0.015], F32)
    weight = model.weight(codes, scale, axis=1 if op == "MatMul" else 0)
    x = model.qdq(model.input((3, 4, 5) if op == "Conv" else (3,)), SX, 3)
    bias = [] if op == "MatMul" else [model.bias([40, -50, 60, 70], F32(SX) * scale)]
    y = model.node(op, [x, weight, *bias], "layer", **({"transB": 1} if op == "Gemm" else {}))
    model.output(model.qdq(batch_norm(model, y), SY, -7))
    graph = load_onnx(model.save(tmp_path))
    (node,) = graph.nodes
    gain = GAIN.astype(float) / np.sqrt(VARIANCE.astype(float) + float(F32(1e-5)))
    for channel in (0, 1, 3):
        expected = multiplier_of(abs(gain[channel]) * float(F32(SX)) * float(scale[channel]) / float(F32(SY)))
        assert abs(node.multiplier[channel] - expected[0]) <= 1 and node.shift[channel] == expected[1]
    feeds = images((40, 3, 4, 5) if op == "Conv" else (60, 3), spread=1.0)
    (ours,), (real,) = run_graph(graph, feeds).values(), runtime(model, [model.nodes[-2].input[0]], feeds)
    error = graph.metadata["bias_errors"][node.name]
    assert 0 < error < 0.02
    check_real(ours, [Fraction(float(v)) for v in real.reshape(-1)], SY, -7, error + 2.0**-12)
    check_machines(graph, {"input": feeds["input"][:1]})


def test_a_negative_gain_needs_no_code_beyond_the_weights(tmp_path):
    """−128 has no negative: that channel's weights are ~w around −1."""
    model = Model()
    weight = model.weight([[-128, 5], [-127, 5]], 0.01)
    y = model.node("Gemm", [model.qdq(model.input((2,)), SX), weight], "layer", transB=1)
    model.output(model.qdq(model.node("Mul", [y, model.constant([-2.0, -2.0])], "scaled"), SY))
    graph, differing = check_against_runtime(model, tmp_path, images((200, 2)))
    (node,) = graph.nodes
    assert differing == 0
    assert node.weight.T.tolist() == [[127, -6], [127, -5]]
    assert node.weight_zero_point.tolist() == [-1, 0]


def behind(op: str, constant: object, first: bool = False):
    def build(m: Model, x: str) -> str:
        y = m.node("Conv", [x, m.weight(np.random.default_rng(1).integers(-127, 128, (4, 3, 2, 2)), 0.01)], "layer")
        return m.node(op, [m.constant(constant), y] if first else [y, m.constant(constant)], "constant")

    return build


COLUMN = np.array([0.5, 1.25, 3.0, 0.75]).reshape(4, 1, 1)


@pytest.mark.parametrize("build", [
    behind("Mul", COLUMN), behind("Mul", -COLUMN), behind("Mul", COLUMN[None], True), behind("Div", COLUMN),
    behind("Mul", 0.5), behind("Div", -4.0),
])  # fmt: skip
def test_factors_behind_sums_are_exact(build, tmp_path):
    model = Model()
    model.output(model.qdq(build(model, model.qdq(model.input((3, 4, 5)), SX, 3)), 0.11, -7))
    graph = check_everywhere(model, tmp_path, images((40, 3, 4, 5)))
    assert len(graph.nodes) == 1 and graph.metadata["bias_errors"] == {graph.nodes[0].name: 0.0}


def test_a_difference_behind_sums(tmp_path):
    model = Model()
    model.output(model.qdq(behind("Sub", COLUMN, True)(model, model.qdq(model.input((3, 4, 5)), SX, 3)), 0.11, -7))
    graph, x = load_onnx(model.save(tmp_path)), images((20, 3, 4, 5))
    (ours,), (real,) = run_graph(graph, x).values(), runtime(model, [model.nodes[-2].input[0]], x)
    check_real(ours, [Fraction(float(v)) for v in real.reshape(-1)], 0.11, -7,
               graph.metadata["bias_errors"]["layer"] + 2.0**-12)  # fmt: skip


def beside(op: str, constant: object, first: bool = False):
    return lambda m, x: m.node(op, [m.constant(constant), x] if first else [x, m.constant(constant)], "layer")


@pytest.mark.parametrize("build", [
    beside("Mul", COLUMN), beside("Mul", -COLUMN, True), beside("Div", COLUMN),
    beside("Mul", np.linspace(-2, 3, 80).reshape(4, 4, 5)), beside("Mul", np.linspace(1, 2, 5)),
])  # fmt: skip
def test_float_factors_beside_a_tensor_are_exact(build, tmp_path):
    model = Model()
    model.output(model.qdq(build(model, model.qdq(model.input((4, 4, 5)), SX, 3)), 0.11, -7))
    check_everywhere(model, tmp_path, images((20, 4, 4, 5)), most=3)


@pytest.mark.parametrize("build", [
    beside("Add", np.linspace(-2, 3, 80).reshape(1, 4, 4, 5)), beside("Sub", COLUMN), beside("Sub", COLUMN, True),
])  # fmt: skip
def test_float_terms_beside_a_tensor(build, tmp_path):
    model = Model()
    model.output(model.qdq(build(model, model.qdq(model.input((4, 4, 5)), SX, 3)), SY, -7))
    graph, x = load_onnx(model.save(tmp_path)), images((20, 4, 4, 5))
    (ours,), (real,) = run_graph(graph, x).values(), runtime(model, [model.nodes[-2].input[0]], x)
    error = graph.metadata["bias_errors"]["layer"]
    assert 0 < error < 0.01
    check_real(ours, [Fraction(float(v)) for v in real.reshape(-1)], SY, -7, error + 2.0**-12)
    check_machines(graph, {"input": x["input"][:1]})


@pytest.mark.parametrize("shape", [(1, 4, 4, 5), (4, 4, 5), (4, 1, 1), (1, 4, 5), (5,)], ids=str)
@pytest.mark.parametrize(("op", "first"), [("Add", False), ("Sub", True), ("Mul", False)])
def test_quantized_constants_are_tensors_in_memory(op, first, shape, tmp_path):
    model, rng = Model(), np.random.default_rng(4)
    constant = model.weight(rng.integers(0, 256, shape), 0.0237, kind="uint8", zero=100)
    x = model.qdq(model.input((4, 4, 5)), SX, 3)
    y = model.node(op, [constant, x] if first else [x, constant], "layer")
    model.output(model.qdq(y, 0.0531, -7))
    graph = check_everywhere(model, tmp_path, images((20, 4, 4, 5)))
    assert any(isinstance(node, ConstantTensor) for node in graph.nodes)


def test_constants_of_sequences_and_vectors(tmp_path):
    model, rng = Model(), np.random.default_rng(4)
    x = model.qdq(model.input((4, 6)), SX, 3)
    y = model.node("Add", [x, model.weight(rng.integers(-128, 128, (1, 4, 6)), 0.0317)], "positions")
    y = model.node("Flatten", [model.qdq(y, 0.05)])
    y = model.node("Add", [y, model.weight(rng.integers(-128, 128, (24,)), 0.0317)], "flat")
    model.output(model.qdq(y, 0.08))
    check_everywhere(model, tmp_path, images((20, 4, 6)))


def test_narrow_accumulators_take_smaller_weights(tmp_path):
    """No sum of an affine layer overflows: its weights are as large as the accumulator allows."""
    model = Model()
    model.output(model.qdq(batch_norm(model, model.qdq(model.input((4, 3, 3)), SX, 3)), SY, -7))
    graph = load_onnx(model.save(tmp_path), Arithmetic(accumulator_bits=14))
    (node,) = graph.nodes
    sums = 131 * np.abs(node.weight[:, 0, 0, 0].astype(int)) + np.abs(node.bias)
    assert (sums < 1 << 13).all() and (sums > 1 << 12).sum() >= 3
    with pytest.raises(ModelError, match="steps of its input, more than sums of 8 bits hold"):
        load_onnx(model.save(tmp_path), Arithmetic(accumulator_bits=8))
