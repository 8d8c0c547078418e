"""Residual addition and subtraction: two multipliers, one shared shift, one rounding (contract, section 4)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .arithmetic import Arithmetic
from .checks import check_arithmetic, check_broadcast, check_clamp, check_codes, check_int
from .multiplier import MAX_SHIFT
from .requantize import clamp
from .rounding import round_shift

Codes = NDArray[np.int8]


def add(
    a: Codes,
    a_zero_point: int,
    a_multiplier: int,
    b: Codes,
    b_zero_point: int,
    b_multiplier: int,
    shift: int,
    zero_point: int,
    y_min: int,
    y_max: int,
    arithmetic: Arithmetic,
) -> Codes:
    """``clamp(zero_point + round(((a − za)·ma + (b − zb)·mb) / 2^shift), y_min, y_max)``.

    a, b : int8 codes of activation_bits, of shapes that broadcast
    a_multiplier, b_multiplier : 0 … 2^max(multiplier_bits, 16) − 1; shift : 0 … 62
    zero points, y_min ≤ y_max : codes of activation_bits

    Raises ``TypeError`` or ``ValueError`` naming the argument.
    """
    return add_with_clips(
        a, a_zero_point, a_multiplier, b, b_zero_point, b_multiplier, shift, zero_point, y_min, y_max, arithmetic
    )[0]


def subtract(
    a: Codes,
    a_zero_point: int,
    a_multiplier: int,
    b: Codes,
    b_zero_point: int,
    b_multiplier: int,
    shift: int,
    zero_point: int,
    y_min: int,
    y_max: int,
    arithmetic: Arithmetic,
) -> Codes:
    """`add` with b's term negated."""
    return add_with_clips(
        a, a_zero_point, a_multiplier, b, b_zero_point, b_multiplier, shift, zero_point, y_min, y_max, arithmetic, True
    )[0]


def add_with_clips(
    a: Codes,
    a_zero_point: int,
    a_multiplier: int,
    b: Codes,
    b_zero_point: int,
    b_multiplier: int,
    shift: int,
    zero_point: int,
    y_min: int,
    y_max: int,
    arithmetic: Arithmetic,
    negate_b: bool = False,
) -> tuple[Codes, NDArray[np.bool_]]:
    """`add`, or `subtract` with `negate_b`, and per element whether the output clipped."""
    check_arithmetic(arithmetic)
    low, high = arithmetic.activation_range
    check_codes("a", a, None, low, high)
    check_codes("b", b, None, low, high)
    za = check_int("a_zero_point", a_zero_point, low, high)
    zb = check_int("b_zero_point", b_zero_point, low, high)
    largest = (1 << arithmetic.adder_multiplier_bits) - 1
    ma = check_int("a_multiplier", a_multiplier, 0, largest)
    mb = check_int("b_multiplier", b_multiplier, 0, largest)
    amount = check_int("shift", shift, 0, MAX_SHIFT)
    zero, least, most = check_clamp(zero_point, y_min, y_max, arithmetic)
    check_broadcast(a.shape, b=b)
    terms = (a.astype(np.int64) - za) * ma + (b.astype(np.int64) - zb) * (-mb if negate_b else mb)
    rounded = round_shift(np.asarray(terms), amount, arithmetic.rounding, arithmetic.multiplier_bits)
    return clamp(rounded + zero, least, most, arithmetic)
