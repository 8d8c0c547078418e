"""Numba kernels of the passes over tensors; this module imports Numba, so it is imported where one runs.

All arrays are C-contiguous. (rows, length) are the planes of a (batch, channels, …) tensor, or the parts x[i] of any:

acc : (rows, length) float32 or float64, exact integers; ratio : (rows,), the factor of each plane
values : (rows, length) float32; state : (rows, length) uint8, BELOW, INSIDE or ABOVE
x, codes : (rows, length) float32; scale : (rows,) float32; inside : (rows, length) bool
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit

BELOW, INSIDE, ABOVE = 0, 1, 2
RUN = 1 << 16  # integers of at most 8 bits and a sign whose sum float32 holds

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def _kernel(function: Kernel) -> Kernel:
    return cast(Kernel, njit(nogil=True, cache=True)(function))


def _summing_kernel(function: Kernel) -> Kernel:
    # In lanes: sums of gradients and of statistics, and of integers, which float64 holds in any order.
    return cast(Kernel, njit(nogil=True, cache=True, fastmath={"reassoc"})(function))


@njit
def _rounded(product: Any, up: Any, down: Any, up_negative: Any, down_negative: Any) -> Any:
    nearest = np.rint(product)
    rest = product - nearest
    positive = product >= 0
    rounded = nearest
    rounded += 1.0 if rest >= (up if positive else up_negative) else 0.0
    rounded -= 1.0 if -rest >= (down if positive else down_negative) else 0.0
    return rounded


@_kernel
def requantize(acc: Any, ratio: Any, thresholds: Any, values: Any, state: Any, low: Any, high: Any) -> None:
    """``values = clamp(round(acc · ratio), low, high)``, and where the rounded product lay.

    ratio : float64, so small that the product is exact; low, high : float64
    thresholds : (rows, 4) float64, `float_thresholds` of each plane's shift
    """
    for row in range(acc.shape[0]):
        factor = ratio[row]
        up, down, up_negative, down_negative = thresholds[row]
        for i in range(acc.shape[1]):
            rounded = _rounded(np.float64(acc[row, i]) * factor, up, down, up_negative, down_negative)
            values[row, i] = np.float32(min(max(rounded, low), high))
            state[row, i] = np.uint8(rounded >= low) + np.uint8(rounded > high)


@_kernel
def requantize_long(
    acc: Any, multiplier: Any, shift: Any, thresholds: Any, values: Any, state: Any, low: Any, high: Any
) -> None:
    """`requantize` of products that float64 does not hold, |acc · multiplier| ≤ 2^62.

    multiplier, shift : (rows,) int64; low, high : int64; thresholds : (rows, 4) int64, `integer_thresholds`
    """
    for row in range(acc.shape[0]):
        factor, places = multiplier[row], shift[row]
        even, odd, even_negative, odd_negative = thresholds[row]
        for i in range(acc.shape[1]):
            product = np.int64(acc[row, i]) * factor
            rounded = product >> places
            rest = product - (rounded << places)
            at_even, at_odd = (even, odd) if product >= 0 else (even_negative, odd_negative)
            least = at_odd if rounded & 1 else at_even
            rounded += 1 if rest >= least else 0
            values[row, i] = np.float32(min(max(rounded, low), high))
            state[row, i] = np.uint8(rounded >= low) + np.uint8(rounded > high)


@_summing_kernel
def gradients(gradient: Any, state: Any, acc: Any, ratio: Any, to_acc: Any, to_ratio: Any, to_top: Any) -> None:
    """The gradients of `acc`, ``gradient · ratio`` inside, of `ratio`, and of what stands for the values above.

    gradient, to_acc : (rows, length) float32; ratio : float32; to_ratio, to_top : (rows,) float64
    """
    for row in range(acc.shape[0]):
        factor, inside_sum, above_sum = ratio[row], 0.0, 0.0
        for i in range(acc.shape[1]):
            value = gradient[row, i]
            inside = value if state[row, i] == INSIDE else np.float32(0)
            above = value if state[row, i] == ABOVE else np.float32(0)
            to_acc[row, i] = inside * factor
            inside_sum += np.float64(inside) * np.float64(acc[row, i])
            above_sum += np.float64(above)
        to_ratio[row], to_top[row] = inside_sum, above_sum


@_summing_kernel
def moments(acc: Any, sums: Any, squares: Any) -> None:
    """Sums, and sums of squares, of each plane: (rows,) float64."""
    for row in range(acc.shape[0]):
        total, square = 0.0, 0.0
        for i in range(acc.shape[1]):
            value = np.float64(acc[row, i])
            total += value
            square += value * value
        sums[row], squares[row] = total, square


@_kernel
def quantize(x: Any, scale: Any, codes: Any, inside: Any, low: Any, high: Any) -> None:
    """``codes = clamp(round_half_even(x / scale), low, high)``, and where the clamp changed nothing.

    low, high : float32; NaN stays NaN
    """
    for row in range(x.shape[0]):
        step = scale[row]
        for i in range(x.shape[1]):
            rounded = np.rint(x[row, i] / step)
            clamped = high if rounded > high else rounded
            clamped = low if rounded < low else clamped
            codes[row, i] = clamped
            inside[row, i] = clamped == rounded


@_summing_kernel
def quantize_gradients(gradient: Any, inside: Any, x: Any, scale: Any, to_x: Any, to_scale: Any) -> None:
    """The gradients of `x` and `scale`, ``x / scale`` standing for the codes inside.

    gradient, to_x : (rows, length) float32; to_scale : (rows,) float64
    """
    for row in range(x.shape[0]):
        step, total = scale[row], 0.0
        for i in range(x.shape[1]):
            value = gradient[row, i] if inside[row, i] else np.float32(0)
            to_x[row, i] = value / step
            total += np.float64(value) * np.float64(x[row, i])
        to_scale[row] = -total / (np.float64(step) * np.float64(step))


@_summing_kernel
def scale_gradients(gradient: Any, inside: Any, x: Any, scale: Any, to_scale: Any) -> None:
    """The gradients of `scale` alone, as `quantize_gradients` has them."""
    for row in range(x.shape[0]):
        step, total = scale[row], 0.0
        for i in range(x.shape[1]):
            value = gradient[row, i] if inside[row, i] else np.float32(0)
            total += np.float64(value) * np.float64(x[row, i])
        to_scale[row] = -total / (np.float64(step) * np.float64(step))


@_summing_kernel
def _magnitudes(x: Any) -> Any:
    """The sum of the integers, at most 255 in magnitude, and that of their magnitudes, exact."""
    total, magnitude = 0.0, 0.0
    for first in range(0, len(x), RUN):
        some, absolute = np.float32(0), np.float32(0)
        for i in range(first, min(first + RUN, len(x))):
            some += x[i]
            absolute += abs(x[i])
        total += np.float64(some)
        magnitude += np.float64(absolute)
    return total, magnitude


@_kernel
def magnitudes(x: Any, sums: Any, absolute: Any) -> None:
    """Sums, and sums of magnitudes, of each row's integers, at most 255 in magnitude: (rows,) float64, exact."""
    for row in range(x.shape[0]):
        sums[row], absolute[row] = _magnitudes(x[row])
