"""HARD_SWISH of TFLM: x · clamp(x + 3, 0, 6) / 6 in 16-bit fixed point."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .fixed_point import CODES, Raw, divide_by_power
from .multiplier import float32_quotient, scale_multiplier

_LEAST, _MOST = -(1 << 15), (1 << 15) - 1
_THREE = 3.0 / 32768  # the scale at which 3 is 2^15


def hard_swish_table(x_scale: float, x_zero_point: int, y_scale: float, y_zero_point: int) -> NDArray[np.int8]:
    """y = x · clamp(x/6 + 1/2, 0, 1) for the 256 codes x, smallest first.

    scales : float32; ``ValueError`` where x_scale / 128 / y_scale is 1 or more, which TFLM refuses
    """
    fine_scale = float(np.float32(1 / 128) * np.float32(x_scale))
    output, output_exponent = scale_multiplier(float32_quotient(fine_scale, y_scale))
    if output_exponent > 0:
        raise ValueError(f"scale of the input must be below 128 times the output's {y_scale!r}, not {x_scale!r}")
    slope, slope_exponent = scale_multiplier(float32_quotient(fine_scale, _THREE))
    fine = (CODES - x_zero_point) << 7
    unshifted = _multiply(fine, _upper_half(output))
    gate = fine
    if slope_exponent > 0:
        gate = _clip(gate << min(slope_exponent - 1, 31))
    gate = _multiply(gate, _upper_half(slope))
    gate = _clip(gate << 1) if slope_exponent > 0 else _divide_16_bits(gate, -slope_exponent)
    gate = (gate + (1 << 15)) >> 1
    product = gate * unshifted
    towards_zero = np.where(product >= 0, product >> 15, -(-product >> 15))
    result = _divide_16_bits(towards_zero, -output_exponent) + y_zero_point
    return np.clip(result, -128, 127).astype(np.int8)


def _upper_half(multiplier: int) -> int:
    """A multiplier of 31 bits in 15, rounded with ties up and saturated."""
    return min((multiplier + (1 << 15)) >> 16, _MOST)


def _clip(x: Raw) -> Raw:
    return np.clip(x, _LEAST, _MOST)


def _multiply(a: Raw, b: int) -> Raw:
    """a · b at 2^15, ties up, in 16 bits."""
    return _clip((a * b + (1 << 14)) >> 15)


def _divide_16_bits(x: Raw, exponent: int) -> Raw:
    """x / 2^exponent, ties away from zero; above 15 the 16-bit mask of the fraction is −1, so that ±1 comes out."""
    return divide_by_power(x, exponent) if exponent <= 15 else np.where(x >= 0, 1, -1)
