"""DEQUANTIZE, SOFTMAX and ARG_MAX, which the host computes behind the codes; moves and QUANTIZE of what it made."""

from __future__ import annotations

import math

import numpy as np

from emulator import tflm
from emulator.operators.quantize import dequantize

from ..environment import CODE_TYPES, Environment
from ..head import quantize_half_away
from ..operator import Operator
from ..tail import Array

PROBABILITY = (1 / 256, -128)


def lower_softmax(env: Environment, op: Operator) -> None:
    """Codes by TFLM's integers or by LiteRT's rounding, floats in float64."""
    found, made = env.file_tensor(op, 0), env.output(op)
    beta = float(op.option("SoftmaxOptions", "Beta"))
    if found.index in env.tail and found.type == "float32":
        env.hosted(op, found.shape, lambda x: _softmax(x, beta))
        return
    x = env.operand(op, 0)
    if env.quantization(made) != PROBABILITY:
        raise ValueError(f"the result must have scale 1/256 and the least code as zero point, not {made.scale}")
    scale, compute = x.scale, tflm.softmax if env.tflm else tflm.rounded_softmax
    compute(np.zeros((1, 1), np.int8), scale, beta)  # raises what the scale and beta are not good for
    env.hosted(op, found.shape, lambda codes: compute(codes, scale, beta))


def _softmax(x: Array, beta: float) -> Array:
    e = np.exp((x.astype(np.float64) - x.max(axis=-1, keepdims=True)) * beta)
    return np.asarray(e / e.sum(axis=-1, keepdims=True), np.float32)


def lower_arg_max(env: Environment, op: Operator) -> None:
    """The first index of the largest value along an axis."""
    found, made = env.file_tensor(op, 0), env.output(op)
    axes = env.integers(op, 1, most=1)
    axis = env.axis(found, axes[0] if axes else -1)
    dtype = {"int32": np.int32, "int64": np.int64}.get(made.type)
    if dtype is None:
        raise ValueError(f"the result must be int32 or int64, not {made.type}")
    if found.index not in env.tail:
        env.operand(op, 0)
    place = axis + env.has_batch(found)
    shape = (*found.shape[:place], *found.shape[place + 1 :])
    pick = np.argmin if op.type == "ARG_MIN" else np.argmax
    env.hosted(op, shape, lambda x: np.asarray(pick(x, axis=axis + 1), dtype))


def lower_host_move(env: Environment, op: Operator) -> None:
    """RESHAPE, SQUEEZE or EXPAND_DIMS of host values."""
    found, made = env.file_tensor(op, 0), env.output(op)
    shape = env.sample_shape(made)
    if math.prod(shape) != math.prod(env.sample_shape(found)):
        raise ValueError(f"must keep the elements of each sample, not make {made.shape} of {found.shape}")
    env.hosted(op, made.shape, lambda x: x.reshape(x.shape[0], *shape))


def lower_host_quantize(env: Environment, op: Operator) -> None:
    """Floats to codes, rounded half away from zero as TFLite does; codes to other codes of the same numbers."""
    found, made = env.file_tensor(op, 0), env.output(op)
    scale, zero_point = env.quantization(made)
    if found.type in CODE_TYPES:
        if env.quantization(found) != (scale, zero_point):
            raise ValueError("must not change the scale of what the host computed")
        env.hosted(op, found.shape, lambda codes: codes)
        return
    env.hosted(op, found.shape, lambda x: quantize_half_away(x, scale, zero_point))


def lower_dequantize(env: Environment, op: Operator) -> None:
    """float32(code − zero point) · scale, of the graph's codes or of the host's."""
    found = env.file_tensor(op, 0)
    if env.output(op).type != "float32" or found.type not in CODE_TYPES:
        raise ValueError(f"must make float32 of int8 or uint8, not {env.output(op).type} of {found.type}")
    if found.index not in env.tail:
        env.operand(op, 0)
    scale, zero_point = env.quantization(found)
    env.hosted(op, found.shape, lambda codes: dequantize(codes, scale, zero_point))
