"""What a softmax is computed with: its table of exp, and the reciprocal of its output's scale."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ...arithmetic import Arithmetic
from ...checks import check_arithmetic, check_clamp, check_int, check_integers, check_scale

TABLE_BITS = 28
"""Unsigned width of an entry; with 16 bits, what the tail of a long row loses would be codes of its largest element."""
FACTOR_BITS = 23
"""An entry's upper bits are the factor of the product: with its sign it fits every requantizer's operand."""
ONE = (1 << TABLE_BITS) - (1 << (TABLE_BITS - FACTOR_BITS))
"""The entry of e^0: the largest whose lower bits are 0, so that equal elements get exactly equal shares."""
RECIPROCAL_BITS = 31
LEAST_SCALE = 2.0**-20
"""Below it even the equal shares of the longest row would be beyond every code."""
SMALLEST_ARGUMENT = -21
"""e to it, and to anything below, is less than half a unit of the table."""
NEAR = 2.0**-16
"""Of a tie; float64's powers are within 2^−20 of their values."""


@dataclass(frozen=True, eq=False)
class SoftmaxParameters:
    """Integers of one softmax; `make_softmax` computes them.

    table : (2^activation_bits,) int64, 0 … 2^28 − 2^5, falling: e^(−beta · sx · i) of the differences i = max − x
    reciprocal, reciprocal_shift : 2^30 … 2^31 − 1 and 10 … 30, 1/sy = reciprocal / 2^reciprocal_shift
    zero_point, y_min ≤ y_max : the output's codes

    Raises ``TypeError`` or ``ValueError`` naming the field.
    """

    table: NDArray[np.int64]
    reciprocal: int
    reciprocal_shift: int
    zero_point: int
    y_min: int
    y_max: int

    def __post_init__(self) -> None:
        table = check_integers("table", self.table, 0, ONE)
        if table.ndim != 1 or table.shape[0] not in {1 << bits for bits in range(2, 9)}:
            raise ValueError(f"table must have 4 to 256 entries, one for each difference of codes, not {table.shape}")
        if table[0] != ONE or (np.diff(table) > 0).any():
            raise ValueError(f"table must begin with {ONE} and never rise, not {table[:4].tolist()} …")
        check_int("reciprocal", self.reciprocal, 1 << (RECIPROCAL_BITS - 1), (1 << RECIPROCAL_BITS) - 1)
        check_int("reciprocal_shift", self.reciprocal_shift, 10, 30)

    def check(self, arithmetic: Arithmetic) -> None:
        """Raise ``ValueError`` unless table and clamp are for the codes of `arithmetic`."""
        check_clamp(self.zero_point, self.y_min, self.y_max, arithmetic)
        if self.table.shape[0] != 1 << arithmetic.activation_bits:
            raise ValueError(
                f"table must have {1 << arithmetic.activation_bits} entries, one for each difference of codes of "
                f"{arithmetic.activation_bits} bits, not {self.table.shape[0]}"
            )


def make_softmax(
    x_scale: float,
    y_scale: float,
    zero_point: int,
    y_min: int,
    y_max: int,
    arithmetic: Arithmetic,
    beta: float = 1.0,
) -> SoftmaxParameters:
    """Parameters of softmax(beta · sx · (x − zx)), which does not depend on zx.

    Table and reciprocal are the integers nearest to the real values, ties to even.

    x_scale : positive finite float32; y_scale : float32, 2^−20 … 1; beta : positive finite float64
    zero_point, y_min ≤ y_max : codes of activation_bits

    Raises ``TypeError`` or ``ValueError`` naming the argument.
    """
    check_arithmetic(arithmetic)
    check_clamp(zero_point, y_min, y_max, arithmetic)
    y = float(check_scale("y_scale", y_scale))
    if not LEAST_SCALE <= y <= 1:
        raise ValueError(f"y_scale must be from 2^−20 to 1, as probabilities are at most 1, not {y_scale!r}")
    if isinstance(beta, bool) or not isinstance(beta, (int, float)) or not 0 < beta < float("inf"):
        raise ValueError(f"beta must be a positive finite number, not {beta!r}")
    step = Fraction(float(check_scale("x_scale", x_scale))) * Fraction(beta)
    table = exp_table(step, 1 << arithmetic.activation_bits)
    exponent = RECIPROCAL_BITS - 1
    while Fraction(1 << exponent) / Fraction(y) >= 1 << RECIPROCAL_BITS:
        exponent -= 1
    reciprocal = round(Fraction(1 << exponent) / Fraction(y))
    if reciprocal == 1 << RECIPROCAL_BITS:
        reciprocal, exponent = reciprocal >> 1, exponent - 1
    return SoftmaxParameters(table, reciprocal, exponent, zero_point, y_min, y_max)


def exp_table(step: Fraction, entries: int) -> NDArray[np.int64]:
    """``round(ONE · e^(−step · i))`` for i from 0, whatever the library's exp: near ties more digits decide."""
    arguments = np.maximum(-float(min(step, Fraction(-SMALLEST_ARGUMENT))) * np.arange(entries), SMALLEST_ARGUMENT)
    powers: NDArray[np.float64] = ONE * np.exp(arguments)
    rounded: NDArray[np.float64] = np.rint(powers)
    for index in np.flatnonzero(np.abs(powers - np.floor(powers) - 0.5) < NEAR):
        rounded[index] = _entry(-step * int(index))
    table: NDArray[np.int64] = rounded.astype(np.int64)
    return table


def _entry(argument: Fraction) -> int:
    context = Context(prec=40)
    power = context.exp(context.divide(Decimal(argument.numerator), Decimal(argument.denominator)))
    return int(context.multiply(power, Decimal(ONE)).to_integral_value(ROUND_HALF_EVEN))
