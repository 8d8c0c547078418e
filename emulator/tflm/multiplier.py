"""TFLM's multipliers of 31 bits: S ≈ multiplier · 2^(exponent − 31)."""

from __future__ import annotations

import math

import numpy as np

from .fixed_point import Raw, divide_by_power, multiply


def scale_multiplier(scale: float) -> tuple[int, int]:
    """(multiplier, exponent) of a real scale ≥ 0: 2^30 ≤ multiplier < 2^31, its last bit rounded half away from zero.

    A scale below 2^−32 counts as 0 and gives (0, 0). ``ValueError`` unless the scale is finite and at least 0.
    """
    if not math.isfinite(scale) or scale < 0:
        raise ValueError(f"scale must be finite and at least 0, not {scale!r}")
    fraction, exponent = math.frexp(scale)
    multiplier = math.floor(math.ldexp(fraction, 31) + 0.5)
    if multiplier == 1 << 31:
        multiplier, exponent = multiplier >> 1, exponent + 1
    return (multiplier, exponent) if exponent >= -31 and multiplier else (0, 0)


def scaled(x: Raw, multiplier: int, exponent: int) -> Raw:
    """x · S with the two roundings of `double` (contract, section 10).

    ``ValueError`` where x · 2^exponent can leave 32 bits: TFLM multiplies by that first, and its result is undefined.
    """
    largest = max(int(x.max()), ~int(x.min()))
    if exponent > 31 or largest << max(exponent, 0) >= 1 << 31:
        raise ValueError(
            "the scale of the result is so small that TFLM's 32-bit products are undefined; make it larger"
        )
    return divide_by_power(multiply(x << max(exponent, 0), multiplier), max(-exponent, 0))


def float32_quotient(a: float, b: float) -> float:
    """a / b of two float32 values, rounded to float32: what some of the kernels start from."""
    return float(np.float32(a) / np.float32(b))
