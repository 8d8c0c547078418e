"""Relu and Clip: clamps, which the requantizer of the layer before does on its way."""

from __future__ import annotations

import math

from ...reading.values import Value
from ..environment import Environment
from ..operator import Operator


def lower_relu(env: Environment, op: Operator) -> Value:
    """Relu: a clamp at 0."""
    return env.real(op, 0).clamped(op, 0.0, math.inf)


def lower_clip(env: Environment, op: Operator) -> Value:
    """Clip with constant bounds (Relu6 is Clip(0, 6)); where they cross, the upper one wins, as in ONNX."""
    bounds = [-math.inf, math.inf]
    for index, name in enumerate(("min", "max")):
        if op.input(index + 1):
            bound = env.scalar(op, index + 1)
            if bound is None or math.isnan(bound):
                raise ValueError(f"{name} must be one constant number")
            bounds[index] = float(bound)
    return env.real(op, 0).clamped(op, bounds[0], bounds[1])
