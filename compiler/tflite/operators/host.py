"""SOFTMAX and ARG_MAX, which the host computes behind the codes; moves and QUANTIZE of what it computed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emulator import tflm

from ..environment import CODE_TYPES, Environment
from ..head import quantize_half_away
from ..operator import Operator
from ..tail import Array, Step

PROBABILITY = (1 / 256, -128)


def lower_softmax(env: Environment, op: Operator) -> None:
    """Codes by TFLM's integers, floats in float64."""
    found, made = env.file_tensor(op, 0), env.output(op)
    beta = float(op.option("SoftmaxOptions", "Beta"))
    if found.index in env.tail and found.type == "float32":
        env.tail.add(Step(str(op), (found.index,), made.index, lambda x: _softmax(x, beta)))
        return
    x = env.operand(op, 0)
    if env.quantization(made) != PROBABILITY:
        raise ValueError(f"the result must have scale 1/256 and the least code as zero point, not {made.scale}")
    scale = x.scale
    tflm.softmax(np.zeros((1, 1), np.int8), scale, beta)  # raises what the scale and beta are not good for
    env.tail.add(Step(str(op), (found.index,), made.index, lambda codes: tflm.softmax(codes, scale, beta)))


def _softmax(x: NDArray[np.float32], beta: float) -> NDArray[np.float32]:
    e = np.exp((x.astype(np.float64) - x.max(axis=-1, keepdims=True)) * beta)
    return np.asarray(e / e.sum(axis=-1, keepdims=True), np.float32)


def lower_arg_max(env: Environment, op: Operator) -> None:
    """The first index of the largest value along an axis."""
    found, made = env.file_tensor(op, 0), env.output(op)
    axes = env.integers(op, 1, most=1)
    axis = env.axis(found, axes[0] if axes else -1) + 1
    dtype = {"int32": np.int32, "int64": np.int64}.get(made.type)
    if dtype is None:
        raise ValueError(f"the result must be int32 or int64, not {made.type}")
    if found.index not in env.tail:
        env.operand(op, 0)
    pick = np.argmin if op.type == "ARG_MIN" else np.argmax
    env.tail.add(Step(str(op), (found.index,), made.index, lambda x: np.asarray(pick(x, axis=axis), dtype)))


def lower_host_move(env: Environment, op: Operator) -> None:
    """RESHAPE, SQUEEZE or EXPAND_DIMS of host values."""
    found, made = env.file_tensor(op, 0), env.output(op)
    shape = env.sample_shape(made)
    env.tail.add(Step(str(op), (found.index,), made.index, lambda x: x.reshape(x.shape[0], *shape)))


def lower_host_quantize(env: Environment, op: Operator) -> None:
    """Floats to codes, rounded half away from zero as TFLite does; codes to other codes of the same numbers."""
    found, made = env.file_tensor(op, 0), env.output(op)
    scale, zero_point = env.quantization(made)
    if found.type in CODE_TYPES:
        if env.quantization(found) != (scale, zero_point):
            raise ValueError("must not change the scale of what the host computed")
        env.tail.add(Step(str(op), (found.index,), made.index, lambda codes: codes))
        return

    def compute(x: Array) -> Array:
        return quantize_half_away(x, scale, zero_point)

    env.tail.add(Step(str(op), (found.index,), made.index, compute))


def lower_host_dequantize(env: Environment, op: Operator) -> None:
    """Codes that the host computed to floats."""
    found, made = env.file_tensor(op, 0), env.output(op)
    scale, zero_point = env.quantization(found)

    def compute(codes: Array) -> Array:
        return (codes.astype(np.int32) - zero_point).astype(np.float32) * np.float32(scale)

    env.tail.add(Step(str(op), (found.index,), made.index, compute))
