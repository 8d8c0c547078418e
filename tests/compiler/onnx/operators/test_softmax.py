"""Softmax between DequantizeLinear and QuantizeLinear, with and without constant masks."""

from __future__ import annotations

import numpy as np
import pytest

from compiler import load_onnx
from emulator import Softmax, run_graph
from emulator.operators.row_operators import causal_mask, padding_mask
from tests.compiler.machines import check_machines
from tests.compiler.models import Model, check_against_runtime, runtime
from tests.compiler.onnx.row_models import SX, Build, compare, one_layer, softmax_rows, tokens
from tests.compiler.refusals import refused

SOFT = 1 / 256, -128
HIDDEN = -10000.0, float(np.finfo(np.float32).min), -np.inf


def plain(model: Model, x: str, **attributes) -> str:
    return model.node("Softmax", [x], "soft", **attributes)


def added(mask: np.ndarray, hidden: float):
    """An additive mask: 0 where `mask` is 1."""
    values = np.where(mask, np.float32(0), np.float32(hidden))
    return lambda m, x: plain(m, m.node("Add", [x, m.constant(values)], "mask"))


def where(mask: np.ndarray, hidden: float, turned: bool):
    """A Where that keeps the scores where `mask` is 1, or with `turned` where its condition is false."""

    def build(m: Model, x: str) -> str:
        condition, value = m.constant((mask == 0) if turned else (mask == 1), "bool"), m.constant(hidden)
        return plain(m, m.node("Where", [condition, value, x] if turned else [condition, x, value], "mask"))

    return build


def layer(graph) -> Softmax:
    (node,) = (node for node in graph.nodes if isinstance(node, Softmax))
    return node


@pytest.mark.parametrize("seed", range(10))
def test_any_shape(seed):
    rng = np.random.default_rng(seed)
    shape = tuple(int(rng.integers(1, most)) for most in (5, 7, 40)[int(rng.integers(0, 3)) :])
    zero, kind = int(rng.integers(-128, 128)), str(rng.choice(["int8", "uint8"]))
    scale = float(np.float32(rng.choice([1 / 256, 1 / 255, 2**-12, 0.02])))
    model = one_layer(plain, shape, scale, -128, zero, kind=kind)
    found = compare(model, tokens(shape, seed, int(rng.integers(1, 5))), softmax_rows(), x_zero=zero)
    assert found.largest <= 1 and found.differing <= 2 and found.error <= 0.51
    assert layer(found.graph).shape == shape


@pytest.mark.parametrize("axis", [1, 2, 3, -2])
def test_any_axis(axis):
    model = one_layer(lambda m, x: plain(m, x, axis=axis), (3, 4, 6), *SOFT)
    found = compare(model, tokens((3, 4, 6), 1), softmax_rows(), axis)
    assert found.largest <= 1 and found.differing <= 1 and found.error <= 0.51


@pytest.mark.parametrize("opset", [11, 12, 13])
def test_older_operator_sets(opset, tmp_path):
    """Before 13 a softmax is one of all axes from `axis` on, 1 if it is left out."""
    model = one_layer(lambda m, x: plain(m, x, axis=3), (2, 3, 5), *SOFT, opset=opset)
    assert compare(model, tokens((2, 3, 5), 2), softmax_rows()).error <= 0.51
    if opset < 13:
        flat = between(plain, (2, 3, 5), opset=opset)
        refused(flat, tmp_path, "Softmax 'soft' (axis must be the last one, 3, not 1, as a softmax bef")
    vector = one_layer(plain, (5,), *SOFT, opset=opset)
    assert compare(vector, tokens((5,), 2), softmax_rows()).error <= 0.51


def between(build: Build, shape: tuple[int, ...], **options) -> Model:
    """Between other layers, so that the host cannot take what is refused."""

    def network(m: Model, x: str) -> str:
        y = m.qdq(build(m, m.qdq(m.node("Sigmoid", [x]), SX, 7)), *SOFT)
        return m.node("MatMul", [y, m.qdq(m.constant(np.ones((shape[-1], 2))), 0.1)], "fc")

    return one_layer(network, shape, 0.1, 0, **options)


@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("form", ["Add", "Where", "turned"])
def test_masks(form, hidden):
    shape = (2, 5, 5)
    masks = [causal_mask(5, 5), causal_mask(5, 5)[None, None], padding_mask([2], 5), padding_mask([[3], [4]], 5)]
    for seed, mask in enumerate(masks):
        build = added(mask, hidden) if form == "Add" else where(mask, hidden, form == "turned")
        found = compare(one_layer(build, shape, *SOFT), tokens(shape, seed), softmax_rows(per_sample(mask, shape)))
        assert found.largest <= 1 and found.differing <= 1 and found.error <= 0.51
        np.testing.assert_array_equal(np.broadcast_to(layer(found.graph).mask, shape), per_sample(mask, shape))


@pytest.mark.parametrize("axis", [1, 2])
def test_a_mask_along_another_axis(axis):
    shape = (5, 3, 4) if axis == 1 else (3, 5, 4)
    mask = np.random.default_rng(axis).integers(0, 2, shape)
    mask[(slice(None),) * (axis - 1) + (2,)] = 1
    values = np.where(mask, np.float32(0), np.float32(-1e9))

    def build(m: Model, x: str) -> str:
        return plain(m, m.node("Add", [x, m.constant(values)], "mask"), axis=axis)

    rows = softmax_rows(np.moveaxis(mask, axis - 1, -1))
    found = compare(one_layer(build, shape, *SOFT), tokens(shape, 4), rows, axis=axis)
    assert found.largest <= 1 and found.differing <= 1 and found.error <= 0.51


@pytest.mark.parametrize("hidden", [-4.0, *HIDDEN])
@pytest.mark.parametrize("form", ["Where", "turned", "scaled Add", "scaled Where"])
def test_masks_that_a_quantizer_rounds(form, hidden, tmp_path):
    """A layer of its own: what is hidden is as low as the quantizer's codes go."""
    shape, mask = (2, 4, 5), causal_mask(4, 5, past=1)

    def build(m: Model, x: str) -> str:
        x = m.node("Div", [x, m.constant(4.0)], "scale") if "scaled" in form else x
        if "Add" in form:
            masked = m.node("Add", [x, m.constant(np.where(mask, np.float32(0), np.float32(hidden)))], "mask")
        else:
            turned = form == "turned"
            condition, value = m.constant((mask == 0) if turned else (mask == 1), "bool"), m.constant(hidden)
            masked = m.node("Where", [condition, value, x] if turned else [condition, x, value], "mask")
        return m.qdq(masked, 0.03, 20)

    model = one_layer(lambda m, x: build(m, x), shape, 0.03, 20)
    graph, differing = check_against_runtime(model, tmp_path, {"input": tokens(shape, 1)})
    assert differing <= 1 and graph.head is None and graph.tail is None
    check_machines(graph, {"input": tokens(shape, 1, 2)})
    soft = one_layer(lambda m, x: plain(m, build(m, x)), shape, *SOFT)
    graph = load_onnx(soft.save(tmp_path))
    assert layer(graph).mask is None
    x = {"input": tokens(shape, 1)}
    (ours,) = run_graph(graph, x).values()
    codes = runtime(soft, [[n for n in soft.nodes if n.op_type == "QuantizeLinear"][-1].output[0]], x)[0]
    assert np.abs(ours.astype(int) - codes).max() <= 1


def per_sample(mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return np.broadcast_to(mask, (1, *shape))[0]


@pytest.mark.parametrize("op", ["Mul", "Div"])
def test_scaled_scores(op):
    """1/√d in front of the mask and the softmax is a part of the table of powers."""
    mask, factor = causal_mask(4, 6, past=2), float(np.float32(np.sqrt(0.11)))

    def build(m: Model, x: str) -> str:
        scaled = m.node(op, [x, m.constant(factor if op == "Mul" else np.float32(1 / factor))], "scale")
        return added(mask, -10000.0)(m, scaled)

    beta = factor if op == "Mul" else 1 / float(np.float32(1 / factor))
    found = compare(one_layer(build, (3, 4, 6), *SOFT), tokens((3, 4, 6), 5), softmax_rows(mask, beta))
    assert found.largest <= 1 and found.differing <= 1 and found.error <= 0.51


def test_a_mask_of_zeros_is_none():
    found = compare(one_layer(added(np.ones((4, 6)), -1e4), (4, 6), *SOFT), tokens((4, 6), 5), softmax_rows())
    assert layer(found.graph).mask is None and found.error <= 0.51


def test_qlinear_softmax(tmp_path):
    """The operator of codes is its float twin; ONNX Runtime's kernel of it approximates."""
    model, twin = Model(), one_layer(lambda m, x: plain(m, x, axis=-1), (3, 7), *SOFT)
    codes = model.quantize(model.input((3, 7)), 0.05, 7)
    parameters = [
        model.constant(0.05),
        model.constant(7, "int8"),
        model.constant(1 / 256),
        model.constant(-128, "int8"),
    ]
    y = model.node("QLinearSoftmax", [codes, *parameters], "soft", domain="com.microsoft", axis=-1, opset=13)
    model.output(model.dequantize(y, 1 / 256, -128))
    x = {"input": tokens((3, 7), 3)}
    (ours,), (theirs,) = (run_graph(load_onnx(each.save(tmp_path)), x).values() for each in (model, twin))
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(("build", "text"), [
    (added(np.array([1, 1, 1, 1, 0]), -3.0),
     "Softmax 'soft': a mask must hold 0 or numbers below -20.6, so that what it hides has a probability of"),
    (where(np.array([1, 1, 1, 1, 0]), -3.0, False), "a mask must hold numbers below -14.6"),
    (added(np.array([[1] * 5, [0] * 5]), -1e9), "a mask must leave at least one element of every row, not hide"),
    (added(np.ones((3, 5)) - np.eye(3, 5), -1e9), "a mask must broadcast to (2, 5) (without the batch), not"),
    (added(np.ones((3, 2, 5)) - np.eye(2, 5), -1e9), "a mask must be the same for every sample, not of a batch of 3"),
    (lambda m, x: plain(m, x, axis=0), "Softmax 'soft' (axis must not be the batch's, as 0 is)"),
    (lambda m, x: plain(m, x, axis=5), "Softmax 'soft' (axis must be from -3 to 2, not 5)"),
])  # fmt: skip
def test_refusals(build, text, tmp_path):
    refused(between(build, (2, 5)), tmp_path, text)


def test_limits(tmp_path):
    text = "Softmax 'soft' (rows must have 1 to 4096 elements, not 4097 (axis 2))"
    refused(between(plain, (2, 4097)), tmp_path, text)
    refused(one_layer(plain, (2, 5), 1.5, 0), tmp_path, "Softmax 'soft': y_scale must be from 2^−20 to 1, as probabili")
