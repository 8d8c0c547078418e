"""Rescale: the same real values under another scale and zero point (contract, section 4)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...arithmetic import Arithmetic
from ...checks import check_arithmetic, check_codes, check_int
from ..shared.code_tables import of_code
from .requantize import requantize_with_clips


def rescale(
    x: NDArray[np.int8],
    x_zero_point: int,
    multiplier: int,
    shift: int,
    zero_point: int,
    y_min: int,
    y_max: int,
    arithmetic: Arithmetic,
) -> NDArray[np.int8]:
    """`requantize` of x − zx, any shape; from scales S = sx / sy. Raises as `requantize` does."""
    check_arithmetic(arithmetic)
    low, high = arithmetic.activation_range
    check_codes("x", x, None, low, high)
    codes = np.arange(low, high + 1).astype(np.int8)
    table = rescale_with_clips(codes, x_zero_point, multiplier, shift, zero_point, y_min, y_max, arithmetic)[0]
    return of_code(table, x)


def rescale_with_clips(
    x: NDArray[np.int8],
    x_zero_point: int,
    multiplier: int,
    shift: int,
    zero_point: int,
    y_min: int,
    y_max: int,
    arithmetic: Arithmetic,
) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
    """`rescale`, and per element whether the output clipped."""
    check_arithmetic(arithmetic)
    check_codes("x", x, None, *arithmetic.activation_range)
    zero = check_int("x_zero_point", x_zero_point, *arithmetic.activation_range)
    return requantize_with_clips(x.astype(np.int64) - zero, multiplier, shift, zero_point, y_min, y_max, arithmetic)
