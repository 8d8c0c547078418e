"""Fixed-point numbers as gemmlowp has them: int64 arrays that hold the raw 32-bit value of a Qm.(31−m) number."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Raw = NDArray[np.int64]

LARGEST = (1 << 31) - 1  # also the number 1 in Q0.31, which cannot hold it
CODES = np.arange(-128, 128, dtype=np.int64)

# e^(−2^n), n = −2 … 4, in Q0.31: what bit n of the exponent contributes.
_EXPONENTIALS = (
    (-2, 1672461947),
    (-1, 1302514674),
    (0, 790015084),
    (1, 290630308),
    (2, 39332535),
    (3, 720401),
    (4, 242),
)
_EXP_MINUS_EIGHTH = 1895147668  # e^(−1/8) in Q0.31
_THIRD = 715827883  # 1/3 in Q0.31
_48_OVER_17 = 1515870810  # in Q2.29
_MINUS_32_OVER_17 = -1010580540  # in Q2.29
_ONE_Q2 = 1 << 29


def saturate(x: Raw) -> Raw:
    """Into 32 signed bits."""
    return np.clip(x, -LARGEST - 1, LARGEST)


def multiply(a: Raw, b: Raw | int) -> Raw:
    """a · b of Qm and Qn in Q(m+n): the 64-bit product at 2^31, rounded with ties up."""
    return saturate((a * np.int64(b) + (1 << 30)) >> 31)


def divide_by_power(x: Raw, exponent: int) -> Raw:
    """x / 2^exponent, ties away from zero; exponent 0 … 31."""
    rest = x & ((1 << exponent) - 1)
    threshold = (((1 << exponent) - 1) >> 1) + (x < 0)
    return np.asarray((x >> exponent) + (rest > threshold), np.int64)


def exp_of_negative(a: Raw, integer_bits: int) -> Raw:
    """e^a in Q0.31 of a ≤ 0 in Qm, m = integer_bits up to 5.

    a is split into −(quarters) and a rest in [−1/4, 0); the rest's exponential is a polynomial of fourth degree around
    −1/8, and every set bit of the quarters multiplies it by a constant.
    """
    fraction_bits = 31 - integer_bits
    quarter = 1 << (fraction_bits - 2)
    rest = (a & (quarter - 1)) - quarter
    result = _exp_near_zero(saturate(rest << integer_bits))
    remainder = rest - a
    for power, factor in _EXPONENTIALS:
        if power < integer_bits:
            bit = remainder & (1 << (fraction_bits + power))
            result = np.where(bit != 0, multiply(result, factor), result)
    return np.where(a == 0, LARGEST, result)


def _exp_near_zero(a: Raw) -> Raw:
    """e^a in Q0.31 of a in Q0.31, −1/4 ≤ a < 0."""
    x = a + (1 << 28)
    x2 = multiply(x, x)
    x3 = multiply(x2, x)
    x4 = multiply(x2, x2)
    tail = divide_by_power(multiply(divide_by_power(x4, 2) + x3, _THIRD) + x2, 1)
    return multiply(x + tail, _EXP_MINUS_EIGHTH) + _EXP_MINUS_EIGHTH


def _reciprocal_of_half(a: Raw) -> Raw:
    """2 / (1 + a) in Q2.29 of a in Q0.31, 0 ≤ a ≤ 1: three steps of Newton's method for the half denominator."""
    half = (a + LARGEST + 1) >> 1
    x = multiply(half, _MINUS_32_OVER_17) + _48_OVER_17
    for _ in range(3):
        error = _ONE_Q2 - multiply(half, x)
        x = x + saturate(multiply(x, error) << 2)
    return x


def one_over_one_plus(a: Raw) -> Raw:
    """1 / (1 + a) in Q0.31 of a in Q0.31, 0 ≤ a ≤ 1."""
    return saturate(_reciprocal_of_half(a) << 1)


def one_minus_over_one_plus(a: Raw) -> Raw:
    """(1 − a) / (1 + a) in Q0.31 of a in Q0.31, 0 ≤ a ≤ 1."""
    return saturate((_reciprocal_of_half(a) - _ONE_Q2) << 2)
