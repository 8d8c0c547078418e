"""Which of TFLite's activation functions clamps to a tensor's legal codes."""

from __future__ import annotations

import math

import numpy as np

from ..integers.tensor import QuantizedTensor

ACTIVATIONS = ((-math.inf, math.inf), (0.0, math.inf), (-1.0, 1.0), (0.0, 6.0))
"""The real bounds of NONE, RELU, RELU_N1_TO_1 and RELU6, in the order of their numbers."""


def fused_activation(y: QuantizedTensor) -> int | None:
    """The number of the activation function whose codes are y_min … y_max; None if there is none."""
    legal = (y.y_min, y.y_max)
    for number, bounds in enumerate(ACTIVATIONS):
        low, high = (_code(bound, y) for bound in bounds)
        if (low, high) == legal:
            return number
    return None


def _code(bound: float, y: QuantizedTensor) -> int:
    """TFLM's code of a real bound: the quotient in float32, half away from zero."""
    if math.isinf(bound):
        return 127 if bound > 0 else -128
    quotient = float(np.float32(bound) / np.float32(y.scale.item()))
    rounded = math.copysign(math.floor(abs(quotient) + 0.5), quotient)
    return int(min(max(y.zero_point + rounded, -128), 127))
