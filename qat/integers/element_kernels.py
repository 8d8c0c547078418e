"""Numba kernels of layers that compute element by element; this module imports Numba, so it is imported where one runs.

All arrays are C-contiguous; an element's result and its gradient take one pass each.

a, b, x : (elements,) float32, exact integers; values : alike, the codes less their zero point
state : (elements,) uint8, BELOW, INSIDE or ABOVE; low, high : float64, the smallest and the largest of `values`
thresholds : (…, 4) float64, `float_thresholds` of the shift; ratio : float64, so small that the product is exact
gradient, to_… : float32, of `values` and of an operand; what is returned is float64
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .kernels import INSIDE, _kernel, _rounded, _summing_kernel


@_kernel
def product(a: Any, b: Any, ratio: Any, thresholds: Any, values: Any, state: Any, low: Any, high: Any) -> None:
    """``values = clamp(round(a · b · ratio), low, high)``."""
    up, down, up_negative, down_negative = thresholds
    for i in range(len(a)):
        quotient = np.float64(a[i]) * np.float64(b[i]) * ratio
        rounded = _rounded(quotient, up, down, up_negative, down_negative)
        values[i] = np.float32(min(max(rounded, low), high))
        state[i] = np.uint8(rounded >= low) + np.uint8(rounded > high)


@_summing_kernel
def product_gradients(gradient: Any, state: Any, a: Any, b: Any, ratio: Any, to_a: Any, to_b: Any) -> Any:
    """The gradients of both operands; ratio : float32. Returns that of the ratio."""
    total = 0.0
    for i in range(len(a)):
        inside = gradient[i] if state[i] == INSIDE else np.float32(0)
        to_a[i] = inside * ratio * b[i]
        total += np.float64(inside) * (np.float64(a[i]) * np.float64(b[i]))
    for i in range(len(a)):
        inside = gradient[i] if state[i] == INSIDE else np.float32(0)
        to_b[i] = inside * ratio * a[i]
    return total


@_kernel
def weighted_sum(
    a: Any, b: Any, a_ratio: Any, b_ratio: Any, thresholds: Any, values: Any, state: Any, low: Any, high: Any
) -> None:
    """``values = clamp(round(a · a_ratio + b · b_ratio), low, high)``, the sum exact in float64."""
    up, down, up_negative, down_negative = thresholds
    for i in range(len(a)):
        quotient = np.float64(a[i]) * a_ratio + np.float64(b[i]) * b_ratio
        rounded = _rounded(quotient, up, down, up_negative, down_negative)
        values[i] = np.float32(min(max(rounded, low), high))
        state[i] = np.uint8(rounded >= low) + np.uint8(rounded > high)


@_summing_kernel
def sum_gradients(gradient: Any, state: Any, a: Any, b: Any, a_ratio: Any, b_ratio: Any, to_a: Any, to_b: Any) -> Any:
    """The gradients of both operands; ratios : float32. Returns those of both ratios."""
    a_total, b_total = 0.0, 0.0
    for i in range(len(a)):
        inside = gradient[i] if state[i] == INSIDE else np.float32(0)
        to_a[i] = inside * a_ratio
        a_total += np.float64(inside) * np.float64(a[i])
        b_total += np.float64(inside) * np.float64(b[i])
    for i in range(len(a)):
        to_b[i] = gradient[i] * b_ratio if state[i] == INSIDE else np.float32(0)
    return a_total, b_total


@_kernel
def look_up(x: Any, offset: Any, table: Any, values: Any) -> None:
    """``values = table[x + offset]``, NaN where x is; table : float32; offset : float32."""
    for i in range(len(x)):
        entry = np.int64(x[i] + offset)
        values[i] = table[entry] if 0 <= entry < len(table) else np.float32(np.nan)


@_kernel
def table_gradients(gradient: Any, x: Any, offset: Any, slope: Any, real: Any, to_x: Any) -> Any:
    """The gradient of `x`, for which the table's slopes stand; slope, real : float32, of each entry.

    Returns the sums of the gradients by `to_x` · x and by `real`.
    """
    by_x, by_real = 0.0, 0.0
    for i in range(len(x)):
        entry = min(max(np.int64(x[i] + offset), 0), len(slope) - 1)
        to_x[i] = gradient[i] * slope[entry]
        by_x += np.float64(to_x[i]) * np.float64(x[i])
        by_real += np.float64(gradient[i]) * np.float64(real[entry])
    return by_x, by_real


@_kernel
def bias(values: Any, correction: Any, x_scale: Any, w_scale: Any, low: Any, high: Any, codes: Any) -> None:
    """``codes = clamp(round_half_even((values + correction) / (x_scale · w_scale)), low, high)`` in float64.

    values, correction, w_scale : (channels,) float32; x_scale : float64; codes : (channels,) float64; NaN stays NaN
    """
    for i in range(len(values)):
        rounded = np.rint(np.float64(values[i] + correction[i]) / (x_scale * np.float64(w_scale[i])))
        clamped = high if rounded > high else rounded
        codes[i] = low if clamped < low else clamped


@_summing_kernel
def bias_gradients(
    gradient: Any,
    values: Any,
    correction: Any,
    x_scale: Any,
    w_scale: Any,
    low: Any,
    high: Any,
    to_bias: Any,
    to_w_scale: Any,
) -> Any:
    """The gradients of the values and of w_scale, (channels,) float32 each; returns that of x_scale."""
    total = 0.0
    for i in range(len(values)):
        unit = x_scale * np.float64(w_scale[i])
        quotient = np.float64(values[i] + correction[i]) / unit
        inside = low <= np.rint(quotient) <= high
        by_value = gradient[i] / unit if inside else 0.0
        to_bias[i] = np.float32(by_value)
        to_w_scale[i] = np.float32(-by_value * quotient * x_scale)
        total -= by_value * quotient * np.float64(w_scale[i])
    return total
