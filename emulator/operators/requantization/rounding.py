"""Division by a power of two with one exact rounding (contract, sections 3 and 10)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def round_shift(
    product: NDArray[np.int64], shift: NDArray[Any] | int, rounding: str, multiplier_bits: int
) -> NDArray[np.int64]:
    """``round(product / 2^shift)``, the quotient taken as an exact rational.

    product : int64, −2^62 … 2^62
    shift : 0 … 63 (a six-bit field), broadcast against `product`
    rounding : one of `emulator.arithmetic.ROUNDINGS`
    multiplier_bits : 1 … 31, B of the rounding ``double``; the others do not depend on it
    """
    shift = np.asarray(shift, np.int64)
    quotient: NDArray[np.int64] = np.right_shift(product, shift)
    if rounding == "floor":
        return quotient
    # The mask of 63 bits cannot be made as 2^63 − 1 in int64.
    mask = np.where(shift == 63, np.iinfo(np.int64).max, (np.int64(1) << np.minimum(shift, 62)) - 1)
    rest = product & mask
    # For shift 0 the rest is 0 and must stay below "half", hence 1 there.
    half = np.int64(1) << np.maximum(shift - 1, 0)
    if rounding == "toward_zero":
        up = (quotient < 0) & (rest != 0)
    elif rounding == "half_up":
        up = rest >= half
    elif rounding == "half_even":
        up = (rest > half) | ((rest == half) & (quotient & 1 == 1))
    elif rounding == "double":  # above 2^B, half gives way by 2^(B−1) away from zero
        nudge = np.where(shift > multiplier_bits, np.int64(1) << (multiplier_bits - 1), 0)
        up = rest >= half - np.where(product >= 0, nudge, -nudge)
    else:  # half_away: the quotient is the floor, so a tie of a negative value already lies away from zero
        up = (rest > half) | ((rest == half) & (quotient >= 0))
    rounded: NDArray[np.int64] = quotient + up
    return rounded


def rounding_terms(
    shift: NDArray[np.int64], rounding: str, multiplier_bits: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """`round_shift` without branches: (base, even, negative) of shifts 0 … 62, with which for a product p

    ``round(p / 2^shift) = (p + base + ((p >> shift) & even) + (negative if p < 0 else 0)) >> shift``
    """
    one, none = np.int64(1), np.zeros_like(shift)
    half = np.where(shift > 0, one << np.maximum(shift - 1, 0), 0)
    fraction = np.minimum(shift, 1)  # 0 where there is nothing to round
    if rounding == "floor":
        return none, none, none
    if rounding == "toward_zero":
        return none, none, (one << shift) - 1
    if rounding == "half_up":
        return half, none, none
    if rounding == "half_even":
        return half - fraction, fraction, none
    if rounding == "half_away":
        return half, none, -fraction
    nudge = np.where(shift > multiplier_bits, one << (multiplier_bits - 1), 0)  # double
    return half + nudge, none, -2 * nudge
