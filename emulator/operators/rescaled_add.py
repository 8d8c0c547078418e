"""Residual addition and subtraction as TFLM does them: three multipliers, three roundings (contract, section 11)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..arithmetic import Arithmetic
from ..checks import check_arithmetic, check_broadcast, check_clamp, check_codes, check_int
from .requantization.multiplier import MAX_SHIFT, RESCALED_BITS
from .requantization.requantize import clamp
from .requantization.rounding import round_shift
from .shared.code_tables import of_pairs

Codes = NDArray[np.int8]


def rescaled_add(
    a: Codes,
    a_zero_point: int,
    a_multiplier: int,
    a_shift: int,
    b: Codes,
    b_zero_point: int,
    b_multiplier: int,
    b_shift: int,
    multiplier: int,
    shift: int,
    zero_point: int,
    y_min: int,
    y_max: int,
    arithmetic: Arithmetic,
) -> Codes:
    """``clamp(zero_point + round((a' + b') · multiplier / 2^shift), y_min, y_max)``.

    ``a' = round((a − za) · 2^20 · a_multiplier / 2^a_shift)``, and b' likewise; every rounding is the arithmetic's

    a, b : int8 codes of activation_bits, of shapes that broadcast
    a_multiplier, b_multiplier, multiplier : 0 … 2^multiplier_bits − 1; a_shift, b_shift, shift : 0 … 62
    a_multiplier / 2^a_shift and b_multiplier / 2^b_shift : at most 1/2, which keeps a' + b' in 29 signed bits
    zero points, y_min ≤ y_max : codes of activation_bits

    Raises ``TypeError`` or ``ValueError`` naming the argument.
    """
    operands = a, a_zero_point, a_multiplier, a_shift, b, b_zero_point, b_multiplier, b_shift
    return rescaled_add_codes(*operands, multiplier, shift, zero_point, y_min, y_max, arithmetic)


def rescaled_subtract(
    a: Codes,
    a_zero_point: int,
    a_multiplier: int,
    a_shift: int,
    b: Codes,
    b_zero_point: int,
    b_multiplier: int,
    b_shift: int,
    multiplier: int,
    shift: int,
    zero_point: int,
    y_min: int,
    y_max: int,
    arithmetic: Arithmetic,
) -> Codes:
    """`rescaled_add` of a' − b'."""
    operands = a, a_zero_point, a_multiplier, a_shift, b, b_zero_point, b_multiplier, b_shift
    return rescaled_add_codes(*operands, multiplier, shift, zero_point, y_min, y_max, arithmetic, True)


def rescaled_add_codes(
    a: Codes,
    a_zero_point: int,
    a_multiplier: int,
    a_shift: int,
    b: Codes,
    b_zero_point: int,
    b_multiplier: int,
    b_shift: int,
    multiplier: int,
    shift: int,
    zero_point: int,
    y_min: int,
    y_max: int,
    arithmetic: Arithmetic,
    negate_b: bool = False,
) -> Codes:
    """`rescaled_add`, or `rescaled_subtract` with `negate_b`."""
    check_arithmetic(arithmetic)
    check_codes("a", a, None, *arithmetic.activation_range)
    check_codes("b", b, None, *arithmetic.activation_range)
    check_broadcast(a.shape, b=b)
    output = multiplier, shift, zero_point, y_min, y_max, arithmetic, negate_b

    def codes(left: Codes, right: Codes) -> Codes:
        terms = left, a_zero_point, a_multiplier, a_shift, right, b_zero_point, b_multiplier, b_shift
        return rescaled_add_with_clips(*terms, *output)[0]

    return of_pairs(codes, a, b, arithmetic)


def rescaled_add_with_clips(
    a: Codes,
    a_zero_point: int,
    a_multiplier: int,
    a_shift: int,
    b: Codes,
    b_zero_point: int,
    b_multiplier: int,
    b_shift: int,
    multiplier: int,
    shift: int,
    zero_point: int,
    y_min: int,
    y_max: int,
    arithmetic: Arithmetic,
    negate_b: bool = False,
) -> tuple[Codes, NDArray[np.bool_]]:
    """`rescaled_add`, or `rescaled_subtract` with `negate_b`, and per element whether the output clipped."""
    check_arithmetic(arithmetic)
    first = _operand("a", a, a_zero_point, a_multiplier, a_shift, arithmetic)
    second = _operand("b", b, b_zero_point, b_multiplier, b_shift, arithmetic)
    factor = check_int("multiplier", multiplier, 0, (1 << arithmetic.multiplier_bits) - 1)
    amount = check_int("shift", shift, 0, MAX_SHIFT)
    zero, least, most = check_clamp(zero_point, y_min, y_max, arithmetic)
    check_broadcast(a.shape, b=b)
    total = np.asarray(first - second if negate_b else first + second)
    rounded = round_shift(total * factor, amount, arithmetic.rounding, arithmetic.multiplier_bits)
    return clamp(rounded + zero, least, most, arithmetic)


def _operand(
    name: str, codes: Codes, zero_point: int, multiplier: int, shift: int, arithmetic: Arithmetic
) -> NDArray[np.int64]:
    low, high = arithmetic.activation_range
    check_codes(name, codes, None, low, high)
    zero = check_int(f"{name}_zero_point", zero_point, low, high)
    factor = check_int(f"{name}_multiplier", multiplier, 0, (1 << arithmetic.multiplier_bits) - 1)
    amount = check_int(f"{name}_shift", shift, 0, MAX_SHIFT)
    if 2 * factor > 1 << amount:
        raise ValueError(f"{name}_multiplier must be at most 2^({name}_shift − 1) = 2^{amount - 1}, not {factor}")
    scaled = ((codes.astype(np.int64) - zero) << RESCALED_BITS) * factor
    return round_shift(np.asarray(scaled), amount, arithmetic.rounding, arithmetic.multiplier_bits)
