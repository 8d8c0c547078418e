"""RELU, RELU6 and RELU_N1_TO_1 of TFLM as operators of their own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .fixed_point import CODES
from .multiplier import float32_quotient, scale_multiplier, scaled


def relu_table(x_scale: float, x_zero_point: int, y_scale: float, y_zero_point: int) -> NDArray[np.int8]:
    """RELU: x − zx rescaled by the float32 quotient of the scales, and clamped below at the output's zero point.

    ``ValueError`` as of `scaled`.
    """
    y = scaled(CODES - x_zero_point, *scale_multiplier(float32_quotient(x_scale, y_scale))) + y_zero_point
    return np.clip(y, max(-128, y_zero_point), 127).astype(np.int8)


def clamp_table(low: int, high: int) -> NDArray[np.int8]:
    """RELU6: the input's codes clamped to the codes low … high of the input's own scale, whatever the output's is."""
    return np.clip(CODES, low, high).astype(np.int8)
