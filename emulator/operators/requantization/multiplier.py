"""From real scales to integer multipliers and shifts (contract, sections 3, 4 and 11)."""

from __future__ import annotations

import math
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...arithmetic import Arithmetic
from ...checks import check_arithmetic, check_scale

MAX_SHIFT = 62
TFLM_EXPONENT = -31
"""Of a scale S = f · 2^e, ½ ≤ f < 1, the smallest e that TFLM does not take for 0."""
RESCALED_BITS = 20
"""The operands of the rescaled adder are multiplied by 2 to this power."""
RESCALED_SUM_BITS = 29
"""Signed width of their sum, as each of them is at most half as large."""


def _quantize(scale: float, bits: int, rounding: str, name: str) -> tuple[int, int]:
    multiplier, shift = _quantize_number(scale, bits, rounding)
    if shift < 0:
        limit = f"below 2^{bits}" if math.isfinite(scale) and scale >= 0 else "finite and at least 0"
        raise ValueError(f"{name} must be {limit}, not {scale!r}")
    return multiplier, shift


def _quantize_number(scale: float, bits: int, rounding: str) -> tuple[int, int]:
    """`_quantize_array` of one number, in a tenth of the time."""
    if not 0 <= scale < math.inf:
        return 0, -1
    fraction, exponent = math.frexp(scale)
    scaled, shift = math.ldexp(fraction, bits), bits - exponent
    # Below 2^31 float64 holds the half that is added, so the floor is that of the exact sum.
    multiplier = math.floor(scaled + 0.5) if rounding == "double" else round(scaled)
    if multiplier == 1 << bits:
        multiplier, shift = multiplier >> 1, shift - 1
    if scale == 0 or (rounding == "double" and shift > bits - TFLM_EXPONENT):
        return 0, 0
    if rounding != "double" and shift > MAX_SHIFT:
        return round(math.ldexp(scale, MAX_SHIFT)), MAX_SHIFT
    return multiplier, shift


@overload
def quantize_multiplier(scale: float, arithmetic: Arithmetic) -> tuple[int, int]: ...
@overload
def quantize_multiplier(scale: NDArray[Any], arithmetic: Arithmetic) -> tuple[NDArray[np.int64], NDArray[np.int64]]: ...
def quantize_multiplier(scale: Any, arithmetic: Arithmetic) -> Any:
    """(multiplier, shift) with multiplier / 2^shift nearest to `scale`; ties to even.

    Where the rounding is ``double``, they are TFLM's: ties away from zero, and a scale below 2^−32 counts as 0.

    scale : float64, finite, 0 ≤ scale < 2^multiplier_bits; a number gives two ``int``, an array two int64 arrays
    multiplier : 0 … 2^multiplier_bits − 1; shift : 0 … 62

    The relative error is at most 2^−multiplier_bits unless the shift is limited to 62. Raises ``ValueError`` where the
    scale is negative, not finite, or so large that the shift would be negative.
    """
    check_arithmetic(arithmetic)
    array = np.asarray(scale)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"scale must be a float or an array of floats, not {scale!r}")
    array = array.astype(np.float64)
    if array.ndim == 0 and not isinstance(scale, np.ndarray):
        return _quantize(float(array), arithmetic.multiplier_bits, arithmetic.rounding, "scale")
    multiplier, shift = _quantize_array(array, arithmetic.multiplier_bits, arithmetic.rounding)
    for index in np.flatnonzero(shift < 0):
        name = f"scale[{index}]" if array.ndim else "scale"
        _quantize(float(array.flat[index]), arithmetic.multiplier_bits, arithmetic.rounding, name)
    return multiplier, shift


def _quantize_array(
    scale: NDArray[np.float64], bits: int, rounding: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(multiplier, shift) of each element, exact in float64; a negative shift where there is none."""
    fraction, exponent = np.frexp(scale)
    if rounding != "double" and scale.ndim > 0 and scale.size > 0 and fraction.min() > 0 and fraction.max() < 1:
        multiplier, shift = np.rint(fraction * 2.0**bits).astype(np.int64), bits - exponent.astype(np.int64)
        if multiplier.max() < 1 << bits and shift.min() >= 0 and shift.max() <= MAX_SHIFT:
            return multiplier, shift  # nothing is to be carried, limited or refused
    good = np.isfinite(scale) & (scale >= 0)
    scale = np.where(good, scale, 0.0)
    fraction, exponent = np.frexp(scale)
    scaled = np.ldexp(fraction, bits)
    # Below 2^31 float64 holds the half that is added, so the floor is that of the exact sum.
    multiplier = (np.floor(scaled + 0.5) if rounding == "double" else np.rint(scaled)).astype(np.int64)
    shift = bits - exponent.astype(np.int64)
    carried = multiplier == 1 << bits
    multiplier, shift = np.where(carried, multiplier >> 1, multiplier), shift - carried
    if rounding == "double":
        zero = (scale == 0) | (shift > bits - TFLM_EXPONENT)
        return np.where(zero, 0, multiplier), np.where(good, np.where(zero, 0, shift), -1)
    beyond = shift > MAX_SHIFT
    multiplier = np.where(
        beyond, np.rint(np.ldexp(np.where(beyond, scale, 0.0), MAX_SHIFT)).astype(np.int64), multiplier
    )
    shift = np.where(scale == 0, 0, np.minimum(shift, MAX_SHIFT))
    return multiplier, np.where(good, shift, -1)


def quantize_adder(scale_a: float, scale_b: float, scale_y: float, arithmetic: Arithmetic) -> tuple[int, int, int]:
    """(a_multiplier, b_multiplier, shift) of the residual adder, from three float32 scales.

    The larger multiplier and the shift come from max(scale_a, scale_b) / scale_y with max(multiplier_bits, 16) bits;
    the other multiplier is rounded at the same shift.
    """
    check_arithmetic(arithmetic)
    a, b, y = (float(check_scale(n, s)) for n, s in (("scale_a", scale_a), ("scale_b", scale_b), ("scale_y", scale_y)))
    name = "max(scale_a, scale_b) / scale_y"
    larger, shift = _quantize(max(a, b) / y, arithmetic.adder_multiplier_bits, "half_even", name)
    other = round(math.ldexp(min(a, b) / y, shift))
    return (larger, other, shift) if a >= b else (other, larger, shift)


def quantize_rescaled_adder(
    scale_a: float, scale_b: float, scale_y: float, arithmetic: Arithmetic
) -> tuple[int, int, int, int, int, int]:
    """(a_multiplier, a_shift, b_multiplier, b_shift, multiplier, shift) of the rescaled adder, from float32 scales.

    With t = 2·max(scale_a, scale_b) in float64, they are `quantize_multiplier` of scale_a / t, scale_b / t and
    t / (2^20 · scale_y).
    """
    check_arithmetic(arithmetic)
    a, b, y = (float(check_scale(n, s)) for n, s in (("scale_a", scale_a), ("scale_b", scale_b), ("scale_y", scale_y)))
    return rescaled_adder_multipliers(a, b, y, arithmetic)


def rescaled_adder_multipliers(
    scale_a: float, scale_b: float, scale_y: float, arithmetic: Arithmetic
) -> tuple[int, int, int, int, int, int]:
    """`quantize_rescaled_adder` of float64 scales as they are, unchecked."""
    bits, rounding = arithmetic.multiplier_bits, arithmetic.rounding
    twice = 2 * max(scale_a, scale_b)
    name = f"2 · max(scale_a, scale_b) / (2^{RESCALED_BITS} · scale_y)"
    return (
        *_quantize(scale_a / twice, bits, rounding, "scale_a"),
        *_quantize(scale_b / twice, bits, rounding, "scale_b"),
        *_quantize(twice / ((1 << RESCALED_BITS) * scale_y), bits, rounding, name),
    )


def layer_scales(x_scale: ArrayLike, w_scale: ArrayLike, y_scale: ArrayLike) -> NDArray[np.float64]:
    """``float64(sx) * float64(sw) / float64(sy)`` from left to right: a layer's real scales, shaped as `w_scale`."""
    sx = check_scale("x_scale", x_scale).astype(np.float64)
    sw = check_scale("w_scale", w_scale).astype(np.float64)
    sy = check_scale("y_scale", y_scale).astype(np.float64)
    return np.asarray(sx * sw / sy)
