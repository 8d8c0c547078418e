"""Max and Min: of a tensor and numbers a clamp, of two tensors a layer."""

from __future__ import annotations

import math

from ....reading.pointwise.extremes import ExtremeSource
from ....reading.values import Real, Value
from ...environment import Environment
from ...operator import Operator
from .axes import check_axes


def lower_extreme(env: Environment, op: Operator) -> Value:
    """Max or Min of quantized tensors and numbers."""
    check_axes(env, op)
    largest = op.type == "Max"
    numbers = [env.scalar(op, index) for index in range(len(op.inputs))]
    tensors = [env.real(op, index) for index, number in enumerate(numbers) if number is None]
    result = tensors[0]
    for other in tensors[1:]:
        result = Real(ExtremeSource(op, result, other, not largest))
    for number in numbers:
        if number is not None:
            if math.isnan(number):
                raise ValueError("the constant must be a number, not NaN")
            result = result.clamped(op, *((float(number), math.inf) if largest else (-math.inf, float(number))))
    return result
