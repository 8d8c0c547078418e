"""Relu and Clip: clamps, which the requantizer of the layer before does on its way."""

from __future__ import annotations

import math
from typing import TypeVar

from ....reading.rounding import rounded
from ....reading.values import Codes, Dequantized, Real, Target, Value
from ...code_types import CODE_TYPES
from ...environment import Environment
from ...operator import Operator

Number = TypeVar("Number", int, float)


def lower_relu(env: Environment, op: Operator) -> Value:
    """Relu: a clamp at 0."""
    return env.real(op, 0).clamped(op, 0.0, math.inf)


def lower_clip(env: Environment, op: Operator) -> Value:
    """Clip with constant bounds (Relu6 is Clip(0, 6)); of codes it narrows the legal ones."""
    value = env.value(op.input(0))
    if not isinstance(value, Codes):
        return env.real(op, 0).clamped(op, *clip_bounds(env, op, -math.inf, math.inf))
    tensor = value.tensor
    offset = CODE_TYPES[value.type][2]
    low, high = clip_bounds(env, op, tensor.y_min + offset, tensor.y_max + offset)
    target = Target(tensor.scale, tensor.zero_point, low - offset, high - offset)
    return Codes(rounded(env.builder, Real(Dequantized(tensor)), op.label, op, target), value.type)


def clip_bounds(env: Environment, op: Operator, low: Number, high: Number) -> tuple[Number, Number]:
    """The bounds of a Clip of low … high; where its own cross, the upper one wins, as in ONNX."""
    bounds = [low, high]
    for index, name in enumerate(("min", "max")):
        if op.input(index + 1):
            bound = env.scalar(op, index + 1)
        elif name in op.attributes:  # operator sets below 11
            bound = op.real(name, 0.0)
        else:
            continue
        if bound is None or math.isnan(bound):
            raise ValueError(f"{name} must be one constant number")
        bounds[index] = bound
    return min(max(low, bounds[0]), bounds[1]), min(max(high, bounds[0]), bounds[1])
