"""Lookup table: any unary function as 2^activation_bits codes (contract, section 4)."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..arithmetic import Arithmetic
from ..checks import check_arithmetic, check_clamp, check_codes, check_int, check_scale
from .shared.code_tables import of_code


def lookup(x: NDArray[np.int8], table: NDArray[np.int8], arithmetic: Arithmetic) -> NDArray[np.int8]:
    """``table[x]``, any shape; table : 2^activation_bits int8 codes, entry 0 for the smallest code."""
    check_arithmetic(arithmetic)
    low, high = arithmetic.activation_range
    check_codes("x", x, None, low, high)
    check_codes("table", table, 1, low, high)
    if table.shape[0] != high - low + 1:
        raise ValueError(f"table must have {high - low + 1} entries, one per code, not {table.shape[0]}")
    return of_code(table, x)


def make_table(
    function: Callable[[float], float],
    x_scale: float,
    x_zero_point: int,
    y_scale: float,
    y_zero_point: int,
    y_min: int,
    y_max: int,
    arithmetic: Arithmetic,
) -> NDArray[np.int8]:
    """``clamp(zy + round_half_even(f(sx·(x − zx)) / sy), y_min, y_max)`` in float64 for every code x, smallest first.

    function : float → float, built from Python's `math` (`emulator.functions` has the usual ones); ±inf clamps, NaN is
    a ``ValueError`` that names the code
    scales : positive finite float32; zero points, y_min ≤ y_max : codes of activation_bits
    """
    check_arithmetic(arithmetic)
    if not callable(function):
        raise TypeError(f"function must be callable, not {function!r}")
    low, high = arithmetic.activation_range
    sx, sy = float(check_scale("x_scale", x_scale)), float(check_scale("y_scale", y_scale))
    zx = check_int("x_zero_point", x_zero_point, low, high)
    zero, least, most = (int(v) for v in check_clamp(y_zero_point, y_min, y_max, arithmetic))
    table = np.empty(high - low + 1, np.int8)
    for code in range(low, high + 1):
        value = float(function(sx * (code - zx)))
        if math.isnan(value):
            raise ValueError(f"function must not be NaN, as it is for code {code} ({sx * (code - zx)!r})")
        quotient = value / sy
        if math.isinf(quotient):
            table[code - low] = most if quotient > 0 else least
        else:
            table[code - low] = min(max(zero + round(quotient), least), most)
    return table
