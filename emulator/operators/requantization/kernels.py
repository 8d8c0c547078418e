"""Numba kernels of one pass over sums or codes; this module imports Numba, so it is imported only where a kernel runs.

base, even, negative : int64, of `emulator.rounding.rounding_terms`
zero, low, high : int64, the output's zero point and clamp
codes : int8, overwritten; all arrays are C-contiguous
"""

from __future__ import annotations

from typing import Any

from numba import int8, int64

from ..products.walk_kernels import compiled_kernel, compiled_step


@compiled_step
def _code(p: Any, shift: Any, base: Any, even: Any, negative: Any, zero: Any, low: Any, high: Any) -> Any:
    rounded = (p + base + ((p >> shift) & even) + ((p >> 63) & negative)) >> shift
    return int8(min(max(rounded + zero, low), high))


@compiled_kernel
def requantize(
    sums: Any,
    constant: Any,
    multiplier: Any,
    shift: Any,
    base: Any,
    even: Any,
    negative: Any,
    zero: Any,
    low: Any,
    high: Any,
    codes: Any,
) -> None:
    """Codes of ``sums + constant``; sums (R, C) int32 or int64, constant … negative (C,) int64, codes (R, C)."""
    rows, columns = sums.shape
    for r in range(rows):
        for c in range(columns):
            p = (int64(sums[r, c]) + constant[c]) * multiplier[c]
            codes[r, c] = _code(p, shift[c], base[c], even[c], negative[c], zero, low, high)


@compiled_kernel
def add(
    a: Any,
    b: Any,
    a_multiplier: Any,
    b_multiplier: Any,
    constant: Any,
    shift: Any,
    base: Any,
    even: Any,
    negative: Any,
    zero: Any,
    low: Any,
    high: Any,
    codes: Any,
) -> None:
    """Codes of ``a · a_multiplier + b · b_multiplier + constant``; a, b, codes (N,) int8, everything else int64."""
    for i in range(a.size):
        p = a[i] * a_multiplier + b[i] * b_multiplier + constant
        codes[i] = _code(p, shift, base, even, negative, zero, low, high)
