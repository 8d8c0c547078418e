"""Residual addition and subtraction: two multipliers, one shared shift, one rounding (contract, section 4)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arithmetic import Arithmetic
from ..checks import check_arithmetic, check_broadcast, check_clamp, check_codes, check_int
from .requantization.multiplier import MAX_SHIFT
from .requantization.requantize import clamp
from .requantization.rounding import round_shift, rounding_terms
from .shared.optional_library import NUMBA
from .shared.threads import in_parallel

Codes = NDArray[np.int8]

BLOCK = 1 << 17  # codes at a time on one processor


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
    operands = a, a_zero_point, a_multiplier, b, b_zero_point, b_multiplier
    return add_codes(*operands, shift, zero_point, y_min, y_max, arithmetic)


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
    operands = a, a_zero_point, a_multiplier, b, b_zero_point, b_multiplier
    return add_codes(*operands, shift, zero_point, y_min, y_max, arithmetic, True)


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
    operands = a, a_zero_point, a_multiplier, b, b_zero_point, b_multiplier
    return _unchecked(a, b, _check(*operands, shift, zero_point, y_min, y_max, arithmetic, negate_b), arithmetic)


def add_codes(
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
) -> Codes:
    """`add`, or `subtract` with `negate_b`; by a compiled pass over blocks where that pays."""
    operands = a, a_zero_point, a_multiplier, b, b_zero_point, b_multiplier
    sum_ = _check(*operands, shift, zero_point, y_min, y_max, arithmetic, negate_b)
    shape = np.broadcast_shapes(a.shape, b.shape)
    if not NUMBA.pays(math.prod(shape)):
        return _unchecked(a, b, sum_, arithmetic)[0]
    from .requantization import kernels

    terms = rounding_terms(np.asarray(sum_.shift, np.int64), arithmetic.rounding, arithmetic.multiplier_bits)
    scalars = [np.int64(value) for value in (*sum_.multipliers, sum_.constant, sum_.shift, *terms, *sum_.clamp)]
    # The kernel is compiled for contiguous arrays that may be written.
    left, right = (np.require(np.broadcast_to(x, shape), requirements=("C", "W")).reshape(-1) for x in (a, b))
    result = np.empty(shape, np.int8)
    kernel: Any = kernels.add
    flat = result.reshape(-1)

    def block(part: slice) -> None:
        kernel(left[part], right[part], *scalars, flat[part])

    in_parallel(block, [slice(first, first + BLOCK) for first in range(0, flat.size, BLOCK)])
    return result


def _unchecked(a: Codes, b: Codes, sum_: _Sum, arithmetic: Arithmetic) -> tuple[Codes, NDArray[np.bool_]]:
    terms = np.asarray(a.astype(np.int64) * sum_.multipliers[0] + b.astype(np.int64) * sum_.multipliers[1])
    rounded = round_shift(terms + sum_.constant, sum_.shift, arithmetic.rounding, arithmetic.multiplier_bits)
    return clamp(rounded + sum_.clamp[0], *sum_.clamp[1:], arithmetic)


@dataclass(frozen=True)
class _Sum:
    """``a · multipliers[0] + b · multipliers[1] + constant``, to be shifted, and (zero point, y_min, y_max)."""

    multipliers: tuple[int, int]
    constant: int
    shift: int
    clamp: tuple[int, int, int]


def _check(
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
    negate_b: bool,
) -> _Sum:
    check_arithmetic(arithmetic)
    low, high = arithmetic.activation_range
    check_codes("a", a, None, low, high)
    check_codes("b", b, None, low, high)
    za = check_int("a_zero_point", a_zero_point, low, high)
    zb = check_int("b_zero_point", b_zero_point, low, high)
    largest = (1 << arithmetic.adder_multiplier_bits) - 1
    ma = check_int("a_multiplier", a_multiplier, 0, largest)
    mb = check_int("b_multiplier", b_multiplier, 0, largest) * (-1 if negate_b else 1)
    amount = check_int("shift", shift, 0, MAX_SHIFT)
    zero, least, most = check_clamp(zero_point, y_min, y_max, arithmetic)
    check_broadcast(a.shape, b=b)
    return _Sum((ma, mb), -za * ma - zb * mb, amount, (int(zero), int(least), int(most)))
