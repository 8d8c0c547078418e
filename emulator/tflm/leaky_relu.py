"""LEAKY_RELU of TFLM: one multiplier for each sign."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .fixed_point import CODES
from .multiplier import float32_quotient, scale_multiplier, scaled


def leaky_relu_table(
    x_scale: float, x_zero_point: int, y_scale: float, y_zero_point: int, alpha: float
) -> NDArray[np.int8]:
    """y = x for x ≥ 0 and alpha · x below, for the 256 codes x, smallest first; scales and alpha are float32.

    ``ValueError`` as of `scaled`.
    """
    x = CODES - x_zero_point
    slope = float(np.float32(x_scale) * np.float32(alpha))
    negative = scaled(np.minimum(x, 0), *scale_multiplier(abs(float32_quotient(slope, y_scale))))
    positive = scaled(np.maximum(x, 0), *scale_multiplier(float32_quotient(x_scale, y_scale)))
    result = np.where(x >= 0, positive, -negative if slope < 0 else negative) + y_zero_point
    return np.asarray(np.clip(result, -128, 127), np.int8)
