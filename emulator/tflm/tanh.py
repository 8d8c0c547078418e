"""TANH of TFLM: (1 − e^−2x) / (1 + e^−2x) in Q4.27 fixed point."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .fixed_point import divide_by_power, exp_of_negative, one_minus_over_one_plus
from .logistic import INTEGER_BITS, fixed_point_input


def tanh_table(x_scale: float, x_zero_point: int) -> NDArray[np.int8]:
    """Codes of scale 1/128 and zero point 0 for the 256 codes x, smallest first; x_scale as in `logistic_table`."""
    x, outside = fixed_point_input(x_scale, x_zero_point)
    # The same raw value in one integer bit more is twice the number.
    positive = one_minus_over_one_plus(exp_of_negative(-np.abs(x), INTEGER_BITS + 1))
    result = np.where(x == 0, 0, np.where(x > 0, positive, -positive))
    codes = np.clip(divide_by_power(result, 24), -128, 127)
    return np.where(outside != 0, np.where(outside < 0, -128, 127), codes).astype(np.int8)
