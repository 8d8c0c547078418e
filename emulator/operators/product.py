"""Elementwise product and its requantization (contract, section 4)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..arithmetic import Arithmetic
from ..checks import check_arithmetic, check_broadcast, check_codes, check_int
from .requantization.requantize import requantize_with_clips
from .shared.code_tables import of_pairs

Codes = NDArray[np.int8]


def product(
    a: Codes,
    a_zero_point: int,
    b: Codes,
    b_zero_point: int,
    multiplier: int,
    shift: int,
    zero_point: int,
    y_min: int,
    y_max: int,
    arithmetic: Arithmetic,
) -> Codes:
    """``acc = (a − za)·(b − zb)``, exact, then `requantize`; from scales S = sa·sb / sy.

    a, b : int8 codes of activation_bits, of shapes that broadcast. Raises ``TypeError`` or ``ValueError`` naming the
    argument.
    """
    _check_codes(a, b, arithmetic)

    def codes(left: Codes, right: Codes) -> Codes:
        operands = left, a_zero_point, right, b_zero_point
        return product_with_clips(*operands, multiplier, shift, zero_point, y_min, y_max, arithmetic)[0]

    return of_pairs(codes, a, b, arithmetic)


def product_with_clips(
    a: Codes,
    a_zero_point: int,
    b: Codes,
    b_zero_point: int,
    multiplier: int,
    shift: int,
    zero_point: int,
    y_min: int,
    y_max: int,
    arithmetic: Arithmetic,
) -> tuple[Codes, NDArray[np.bool_]]:
    """`product`, and per element whether the output clipped."""
    _check_codes(a, b, arithmetic)
    low, high = arithmetic.activation_range
    za = check_int("a_zero_point", a_zero_point, low, high)
    zb = check_int("b_zero_point", b_zero_point, low, high)
    acc = (a.astype(np.int64) - za) * (b.astype(np.int64) - zb)
    return requantize_with_clips(acc, multiplier, shift, zero_point, y_min, y_max, arithmetic)


def _check_codes(a: Codes, b: Codes, arithmetic: Arithmetic) -> None:
    check_arithmetic(arithmetic)
    check_codes("a", a, None, *arithmetic.activation_range)
    check_codes("b", b, None, *arithmetic.activation_range)
    check_broadcast(a.shape, b=b)
