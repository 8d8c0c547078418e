"""Quantizers that the reader does not support: scales, zero points, types and axes."""

from __future__ import annotations

import numpy as np
import pytest

from tests.compiler.models import Model
from tests.compiler.refusals import SX, refused


@pytest.mark.parametrize(("parameters", "text"), [
    (([0.1, 0.2, 0.3, 0.4], [0, 0, 0, 0], "int8"), "an activation must have one scale, not one per channel"),
    ((0.0, 0, "int8"), "scale must be positive and finite, not 0.0"),
    ((-1.0, 0, "int8"), "scale must be positive and finite, not -1.0"),
    ((np.nan, 0, "int8"), "scale must be positive and finite, not nan"),
    ((np.inf, 0, "int8"), "scale must be positive and finite, not inf"),
    (([], [], "int8"), "scale must be positive and finite, not empty"),
    (([[0.1]] * 2, [[0]] * 2, "int8"), "scale must be one number or one per channel"),
    ((0.1, [0, 0], "int8"), "zero point must have 1 elements, as the scale, not 2"),
    ((0.1, 0, "int32"), "codes must be INT8, UINT8, INT4 or UINT4, not INT32"),
    ((0.1, 0, "int16"), "activations and weights must be of at most 8 bits, not INT16"),
])  # fmt: skip
def test_activation_parameters(parameters, text, tmp_path):
    scale, zero, kind = parameters
    model = Model()
    names = [model.input((4,)), model.constant(scale), model.constant(zero, kind)]
    model.output(model.node("DequantizeLinear", [model.node("QuantizeLinear", names, "q"), *names[1:]]))
    refused(model, tmp_path, "QuantizeLinear 'q': ")
    refused(model, tmp_path, text)


def test_scale_of_another_type(tmp_path):
    model = Model()
    model.output(model.node("QuantizeLinear", [model.input((4,)), model.constant(1, "int32")], "q"))
    refused(model, tmp_path, "QuantizeLinear 'q': scale must be FLOAT, not INT32")
    model.nodes[0].input[1] = "input"
    refused(model, tmp_path, "QuantizeLinear 'q': scale 'input' must be a constant")


def test_blocked_quantization(tmp_path):
    model = Model()
    codes = model.constant(np.zeros((4, 4)), "int8")
    blocks = [codes, model.constant(np.ones((2, 4))), model.constant(np.zeros((2, 4)), "int8")]
    w = model.node("DequantizeLinear", blocks, "blocks", axis=0, block_size=2)
    model.output(model.qdq(model.node("MatMul", [model.qdq(model.input((4,)), SX), w]), SX))
    refused(model, tmp_path, "DequantizeLinear 'blocks': block_size must be 0, not 2")


@pytest.mark.parametrize(("scale", "zero", "kind", "text"), [
    (0.2, 0, "int8", "scale and zero point must be those of the QuantizeLinear"),
    (SX, 1, "int8", "scale and zero point must be those of the QuantizeLinear"),
    (SX, 0, "uint8", "zero point must be INT8 as the codes are, not UINT8"),
])  # fmt: skip
def test_dequantizer_must_match(scale, zero, kind, text, tmp_path):
    model = Model()
    model.output(model.dequantize(model.quantize(model.input((4,)), SX), scale, zero, kind, name="dq"))
    refused(model, tmp_path, "DequantizeLinear 'dq': ")
    refused(model, tmp_path, text)


def test_weight_axis_and_length(tmp_path):
    for axis, text in ((5, "axis must be from -2 to 1, not 5"), (1, "scale must have 3 elements, one per channel")):
        model = Model()
        x = model.qdq(model.input((4,)), SX)
        w = model.weight(np.ones((4, 3)), [0.1] * 4, axis=axis)
        model.output(model.qdq(model.node("MatMul", [x, w], "fc"), SX))
        refused(model, tmp_path, text)
