"""LOGISTIC of TFLM: 1 / (1 + e^−x) in Q4.27 fixed point."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .fixed_point import CODES, LARGEST, Raw, divide_by_power, exp_of_negative, one_over_one_plus
from .multiplier import scale_multiplier, scaled

INTEGER_BITS = 4


def logistic_table(x_scale: float, x_zero_point: int) -> NDArray[np.int8]:
    """Codes of scale 1/256 and zero point −128 for the 256 codes x, smallest first.

    x_scale : float32, at least 2^−28; ``ValueError`` if it is smaller
    """
    x, outside = fixed_point_input(x_scale, x_zero_point)
    positive = one_over_one_plus(exp_of_negative(-np.abs(x), INTEGER_BITS))
    result = np.where(x > 0, positive, np.where(x < 0, LARGEST - positive, 1 << 30))
    codes = np.clip(divide_by_power(result, 23) - 128, -128, 127)
    return np.where(outside != 0, np.where(outside < 0, -128, 127), codes).astype(np.int8)


def fixed_point_input(x_scale: float, x_zero_point: int) -> tuple[Raw, Raw]:
    """(x in Q4.27; −1 or 1 where it lies at or beyond the radius of the domain, 0 elsewhere), of all 256 codes."""
    multiplier, exponent = scale_multiplier(x_scale * 2.0 ** (31 - INTEGER_BITS))
    if exponent < 0 or multiplier == 0:
        raise ValueError(f"scale of the input must be at least 2^−28, not {x_scale!r}")
    radius = math.floor(((1 << INTEGER_BITS) - 1) * 2.0 ** (31 - INTEGER_BITS - exponent))
    x = CODES - x_zero_point
    outside = np.where(x <= -radius, -1, np.where(x >= radius, 1, 0))
    return scaled(np.where(outside == 0, x, 0), multiplier, min(exponent, 31)), outside
