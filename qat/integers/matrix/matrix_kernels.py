"""Numba kernels around a matrix product; this module imports Numba, so it is imported where one runs.

All arrays are C-contiguous:

acc : (rows, channels) float32, exact integers; state : alike, uint8, BELOW, INSIDE or ABOVE
values, correction, w_scale : (channels,) float32, the float bias, what is added to it, and the scales of the weights
x_scale, y_scale : float64, float32 values
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..kernels import INSIDE, _kernel, _magnitudes, _rounded

LARGEST_SHIFT = 62


@_kernel
def weight_codes(x: Any, scale: Any, limit: Any, codes: Any, inside: Any, totals: Any, magnitudes: Any) -> None:
    """``codes = clamp(round_half_even(x / scale), −limit, limit)``, and where the clamp changed nothing.

    x, codes : (channels, length) float32; inside : alike, bool; scale : (channels,) float32; limit : float32, up to 127
    totals, magnitudes : (channels,) float64, the sums of each channel's codes and of their magnitudes; NaN stays NaN
    """
    for row in range(x.shape[0]):
        step = scale[row]
        for i in range(x.shape[1]):
            rounded = np.rint(x[row, i] / step)
            clamped = limit if rounded > limit else rounded
            clamped = -limit if rounded < -limit else clamped
            codes[row, i] = clamped
            inside[row, i] = clamped == rounded
        totals[row], magnitudes[row] = _magnitudes(codes[row])


@_kernel
def factors(
    values: Any,
    correction: Any,
    w_scale: Any,
    totals: Any,
    magnitudes: Any,
    least: Any,
    most: Any,
    x_scale: Any,
    y_scale: Any,
    bits: Any,
    low: Any,
    high: Any,
    bias: Any,
    ratio: Any,
) -> Any:
    """The codes of the bias, (channels,) float32, and the ratios multiplier / 2^shift, (channels,) float64.

    totals, magnitudes : as `weight_codes` makes them; least, most : float64, the extremes of x and 0
    bits : of the multiplier; low, high : float64, the range of the bias codes

    Returns (the largest magnitude of a partial sum, the largest multiplier); the latter is −1 where a scale has no
    multiplier of that many bits and a shift from 0 to 62, or a number is NaN.
    """
    worst, largest, plain = 0.0, 0.0, True
    limit = math.ldexp(1.0, bits)
    for i in range(len(values)):
        unit = x_scale * np.float64(w_scale[i])
        rounded = np.rint(np.float64(values[i] + correction[i]) / unit)
        start = min(max(rounded, low), high)
        bias[i] = np.float32(start)
        positive, negative = (magnitudes[i] + totals[i]) / 2, (magnitudes[i] - totals[i]) / 2
        above, below = most * positive - least * negative, most * negative - least * positive
        worst = max(worst, max(above + max(start, 0.0), below - min(start, 0.0)))
        fraction, exponent = math.frexp(unit / y_scale)
        multiplier = np.rint(fraction * limit)
        plain &= 0 < fraction < 1 and 0 <= bits - exponent <= LARGEST_SHIFT and multiplier < limit
        plain &= rounded == rounded and magnitudes[i] >= 0
        largest = max(largest, multiplier)
        ratio[i] = math.ldexp(multiplier, exponent - bits)
    return worst, largest if plain else -1.0


@_kernel
def bytes_of(x: Any, zero_point: Any, codes: Any) -> Any:
    """``codes = x + zero_point``; x : (elements,) float32; codes : alike, int8. Returns whether all are int8's."""
    legal = True
    for i in range(len(x)):
        code = x[i] + zero_point
        legal &= (-128 <= code <= 127) & (np.floor(code) == code)
        codes[i] = np.int8(code)
    return legal


@_kernel
def add_to_columns(products: Any, added: Any, sums: Any) -> None:
    """``sums = products + added``; products : (rows, channels) int32; added : (channels,) float64; sums : float32."""
    for row in range(products.shape[0]):
        for i in range(products.shape[1]):
            sums[row, i] = np.float32(np.float64(products[row, i]) + added[i])


@_kernel
def columns(acc: Any, ratio: Any, thresholds: Any, values: Any, state: Any, low: Any, high: Any) -> None:
    """``values = clamp(round(acc · ratio), low, high)``, a ratio for each column.

    values : as `acc`; ratio : (channels,) float64; thresholds : (4,), of all shifts; low, high : float64
    """
    up, down, up_negative, down_negative = thresholds
    for row in range(acc.shape[0]):
        for i in range(acc.shape[1]):
            rounded = _rounded(np.float64(acc[row, i]) * ratio[i], up, down, up_negative, down_negative)
            values[row, i] = np.float32(min(max(rounded, low), high))
            state[row, i] = np.uint8(rounded >= low) + np.uint8(rounded > high)


@_kernel
def sum_gradients(
    gradient: Any, state: Any, acc: Any, unit: Any, excess: Any, to_sums: Any, by_ratio: Any, by_bias: Any
) -> None:
    """The gradients of the sums without overflow, of each channel's ratio, and of its bias code.

    gradient, to_sums : (rows, channels) float32; unit : (channels,) float32, what stands for the ratio
    excess : int8, where and on which side sums overflowed (`walk_kernels.outcome`); no rows where none did
    by_ratio, by_bias : (channels,) float64, to which is added
    """
    for row in range(acc.shape[0]):
        for i in range(acc.shape[1]):
            inside = gradient[row, i] if state[row, i] == INSIDE else np.float32(0)
            by_ratio[i] += np.float64(inside) * np.float64(acc[row, i])
            to_sums[row, i] = inside * unit[i]
        if len(excess) > 0:
            for i in range(acc.shape[1]):
                value = to_sums[row, i]
                to_sums[row, i] = np.float32(0) if value * np.float32(excess[row, i]) < 0 else value
        for i in range(acc.shape[1]):
            by_bias[i] += np.float64(to_sums[row, i])


@_kernel
def factor_gradients(
    by_ratio: Any,
    by_bias: Any,
    values: Any,
    correction: Any,
    w_scale: Any,
    x_scale: Any,
    y_scale: Any,
    low: Any,
    high: Any,
    to_values: Any,
    to_w_scale: Any,
) -> Any:
    """From the gradients of the ratios x_scale · w_scale / y_scale and of the bias codes to those of what made them.

    to_values, to_w_scale : (channels,) float32. Returns the gradients of x_scale and y_scale.
    """
    to_x, to_y = 0.0, 0.0
    for i in range(len(values)):
        weight = np.float64(w_scale[i])
        unit = x_scale * weight
        quotient = np.float64(values[i] + correction[i]) / unit
        by_value = by_bias[i] / unit if low <= np.rint(quotient) <= high else 0.0
        to_values[i] = np.float32(by_value)
        to_w_scale[i] = np.float32(by_ratio[i] * x_scale / y_scale - by_value * quotient * x_scale)
        to_x += by_ratio[i] * weight / y_scale - by_value * quotient * weight
        to_y -= by_ratio[i] * unit / (y_scale * y_scale)
    return to_x, to_y
