"""Which of TFLite's activation functions clamps to a tensor's legal codes."""

from __future__ import annotations

import math

from compiler.tflite.ranges import code_of

from ..integers.tensor import QuantizedTensor

ACTIVATIONS = ((-math.inf, math.inf), (0.0, math.inf), (-1.0, 1.0), (0.0, 6.0))
"""The real bounds of NONE, RELU, RELU_N1_TO_1 and RELU6, in the order of their numbers."""


def fused_activation(y: QuantizedTensor) -> int | None:
    """The number of the activation function whose codes are y_min … y_max; None if there is none."""
    legal = (y.y_min, y.y_max)
    for number, bounds in enumerate(ACTIVATIONS):
        low, high = (min(max(code_of(bound, y.scale.item(), y.zero_point), -128), 127) for bound in bounds)
        if (low, high) == legal:
            return number
    return None
