"""From real scales to integer multipliers and shifts (contract, sections 3 and 4)."""

from __future__ import annotations

import math
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .arithmetic import Arithmetic
from .checks import check_arithmetic, check_scale

MAX_SHIFT = 62


def _quantize(scale: float, bits: int, name: str) -> tuple[int, int]:
    multiplier, shift = _quantize_array(np.asarray(scale), bits)
    if shift < 0:
        limit = f"below 2^{bits}" if math.isfinite(scale) and scale >= 0 else "finite and at least 0"
        raise ValueError(f"{name} must be {limit}, not {scale!r}")
    return int(multiplier), int(shift)


@overload
def quantize_multiplier(scale: float, arithmetic: Arithmetic) -> tuple[int, int]: ...
@overload
def quantize_multiplier(scale: NDArray[Any], arithmetic: Arithmetic) -> tuple[NDArray[np.int64], NDArray[np.int64]]: ...
def quantize_multiplier(scale: Any, arithmetic: Arithmetic) -> Any:
    """(multiplier, shift) with multiplier / 2^shift nearest to `scale`.

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
        return _quantize(float(array), arithmetic.multiplier_bits, "scale")
    multiplier, shift = _quantize_array(array, arithmetic.multiplier_bits)
    for index in np.flatnonzero(shift < 0):
        _quantize(float(array.flat[index]), arithmetic.multiplier_bits, f"scale[{index}]" if array.ndim else "scale")
    return multiplier, shift


def _quantize_array(scale: NDArray[np.float64], bits: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(multiplier, shift) of each element, exact in float64; a negative shift where there is none."""
    good = np.isfinite(scale) & (scale >= 0)
    scale = np.where(good, scale, 0.0)
    fraction, exponent = np.frexp(scale)
    multiplier = np.rint(np.ldexp(fraction, bits)).astype(np.int64)
    shift = bits - exponent.astype(np.int64)
    carried = multiplier == 1 << bits
    multiplier, shift = np.where(carried, multiplier >> 1, multiplier), shift - carried
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
    larger, shift = _quantize(max(a, b) / y, arithmetic.adder_multiplier_bits, "max(scale_a, scale_b) / scale_y")
    other = round(math.ldexp(min(a, b) / y, shift))
    return (larger, other, shift) if a >= b else (other, larger, shift)


def layer_scales(x_scale: ArrayLike, w_scale: ArrayLike, y_scale: ArrayLike) -> NDArray[np.float64]:
    """``float64(sx) * float64(sw) / float64(sy)`` from left to right: a layer's real scales, shaped as `w_scale`."""
    sx = check_scale("x_scale", x_scale).astype(np.float64)
    sw = check_scale("w_scale", w_scale).astype(np.float64)
    sy = check_scale("y_scale", y_scale).astype(np.float64)
    return np.asarray(sx * sw / sy)
