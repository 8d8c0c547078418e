"""SOFTMAX of TFLM: e^(x − max) in Q5.26, their sum in Q12.19, one reciprocal per row."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .fixed_point import divide_by_power, exp_of_negative, multiply, one_over_one_plus
from .multiplier import scale_multiplier
from .rounded_softmax import rounded_softmax

INTEGER_BITS = 5
SUM_INTEGER_BITS = 12
SUM_END = 1 << 28  # the accumulator of the fixed-point sum holds less


def softmax(x: NDArray[np.int8], x_scale: float, beta: float = 1.0) -> NDArray[np.int8]:
    """Softmax of beta · x over the last axis: int8 codes of scale 1/256 and zero point −128, shaped as `x`.

    x : int8 codes, any number of axes but 0; their zero point does not matter
    Rows that TFLM's kernel does not compute, whose sum leaves its accumulator, get the codes of `rounded_softmax`.
    ``ValueError`` where beta · x_scale is 2^−26 or less or not finite, which TFLM refuses.
    """
    factor = min(beta * float(x_scale) * 2.0 ** (31 - INTEGER_BITS), 2.0**31 - 1)
    if not factor > 1:
        raise ValueError(f"beta times the scale of the input must be above 2^−26, not {beta!r} · {x_scale!r}")
    multiplier, exponent = scale_multiplier(factor)
    radius = math.floor(((1 << INTEGER_BITS) - 1) * 2.0 ** (31 - INTEGER_BITS - exponent))
    difference = x.astype(np.int64) - x.max(axis=-1, keepdims=True, initial=-128)
    near = difference >= -radius
    scaled = multiply(np.where(near, difference, 0) << exponent, multiplier)
    exponential = exp_of_negative(scaled, INTEGER_BITS)
    total = np.where(near, divide_by_power(exponential, SUM_INTEGER_BITS), 0).sum(axis=-1, keepdims=True)
    beyond = total >= SUM_END
    total = np.where(beyond, 1 << 19, total)
    # The sum is (1 + fraction) · 2^unit; at least one element, the maximum, contributes 1.
    headroom = 31 - np.floor(np.log2(total)).astype(np.int64)
    reciprocal = one_over_one_plus((total << headroom) - (1 << 31))
    share = multiply(exponential, reciprocal)
    amount = SUM_INTEGER_BITS - headroom + 31 - 8
    rest = share & ((np.int64(1) << amount) - 1)
    codes = (share >> amount) + (rest > (((np.int64(1) << amount) - 1) >> 1)) - 128
    codes = np.where(near, np.clip(codes, -128, 127), -128).astype(np.int8)
    return np.where(beyond, rounded_softmax(x, x_scale, beta), codes) if beyond.any() else codes
