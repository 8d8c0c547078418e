"""Average pool: an exact window sum, then requantization (contract, section 4)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arithmetic import Arithmetic
from ..checks import check_arithmetic, check_codes, check_int, check_scale
from .requantization.requantize import requantize, requantize_with_clips
from .shared.windows import Windows


def average_pool_sum(
    x: NDArray[np.int8],
    kernel: Sequence[int],
    strides: Sequence[int],
    padding: Sequence[int] = (0, 0, 0, 0),
    dilations: Sequence[int] = (1, 1),
    *,
    x_zero_point: int = 0,
    arithmetic: Arithmetic,
) -> NDArray[np.int64]:
    """``Σ (x − zx)`` over every window of x (B, H, W, C) int8 → (B, OH, OW, C) int64; padding adds 0.

    Exact in max(P, 24) signed bits; ``ValueError`` where the worst case of a window does not fit them.
    """
    check_arithmetic(arithmetic)
    low, high = arithmetic.activation_range
    check_codes("x", x, 4, low, high)
    zero = check_int("x_zero_point", x_zero_point, low, high)
    windows = Windows(x.shape[1:3], kernel, strides, padding, dilations)
    area = windows.kernel[0] * windows.kernel[1]
    half = 1 << (arithmetic.operand_bits - 1)
    if area * (high - zero) > half - 1 or area * (zero - low) > half:
        raise ValueError(
            f"kernel must keep sums of its window in {arithmetic.operand_bits} bits, not be {tuple(kernel)}"
        )
    view = windows.view(x, zero)
    # Sums of raw codes in the narrowest type that holds them, which is the fastest to add codes to.
    result = np.zeros(view.shape[:3] + view.shape[5:], np.int16 if area <= (1 << 15) // 128 else np.int64)
    for row in range(windows.kernel[0]):
        for column in range(windows.kernel[1]):
            result += view[:, :, :, row, column]
    return result.astype(np.int64) - zero * area


def average_pool(
    x: NDArray[np.int8],
    kernel: Sequence[int],
    strides: Sequence[int],
    padding: Sequence[int] = (0, 0, 0, 0),
    dilations: Sequence[int] = (1, 1),
    *,
    x_zero_point: int,
    multiplier: ArrayLike,
    shift: ArrayLike,
    zero_point: int,
    y_min: int,
    y_max: int,
    arithmetic: Arithmetic,
) -> NDArray[np.int8]:
    """`average_pool_sum`, requantized; multiplier and shift are numbers or arrays (OH, OW), one per position."""
    total = average_pool_sum(x, kernel, strides, padding, dilations, x_zero_point=x_zero_point, arithmetic=arithmetic)
    factors = _factor("multiplier", multiplier, total.shape[1:3]), _factor("shift", shift, total.shape[1:3])
    return requantize(total, *factors, zero_point, y_min, y_max, arithmetic)


def average_pool_with_clips(
    x: NDArray[np.int8],
    kernel: Sequence[int],
    strides: Sequence[int],
    padding: Sequence[int] = (0, 0, 0, 0),
    dilations: Sequence[int] = (1, 1),
    *,
    x_zero_point: int,
    multiplier: ArrayLike,
    shift: ArrayLike,
    zero_point: int,
    y_min: int,
    y_max: int,
    arithmetic: Arithmetic,
) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
    """`average_pool`, and per element whether the output clipped."""
    total = average_pool_sum(x, kernel, strides, padding, dilations, x_zero_point=x_zero_point, arithmetic=arithmetic)
    factors = _factor("multiplier", multiplier, total.shape[1:3]), _factor("shift", shift, total.shape[1:3])
    return requantize_with_clips(total, *factors, zero_point, y_min, y_max, arithmetic)


def average_pool_scales(
    x_scale: float,
    y_scale: float,
    size: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    padding: Sequence[int] = (0, 0, 0, 0),
    dilations: Sequence[int] = (1, 1),
    *,
    count_padding: bool = False,
) -> NDArray[np.float64]:
    """Real scale ``sx / (sy · n)`` per output position, (OH, OW) float64.

    n : the window's area with `count_padding`, otherwise how many of its positions lie on the map of `size`
    """
    windows = Windows(size, kernel, strides, padding, dilations)
    counts = np.full(windows.output, windows.kernel[0] * windows.kernel[1]) if count_padding else windows.valid_counts()
    if (counts == 0).any():
        raise ValueError(f"padding must leave every window a position on the map, not {tuple(padding)}")
    return np.asarray(float(check_scale("x_scale", x_scale)) / (float(check_scale("y_scale", y_scale)) * counts))


def _factor(name: str, value: ArrayLike, positions: tuple[int, ...]) -> ArrayLike:
    """A number where all positions have the same, otherwise (OH, OW, 1)."""
    array = np.asarray(value)
    if array.ndim == 0:
        return value
    if array.shape != positions:
        raise ValueError(f"{name} must be a number or have shape {positions}, one per position, not {array.shape}")
    first: ArrayLike = array.flat[0]
    return first if (array == first).all() else array[:, :, None]
