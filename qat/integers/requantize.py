"""The contract's requantization on torch tensors (section 3): one exact product, one rounding."""

from __future__ import annotations

import torch
from torch import Tensor

EXACT_FLOAT64 = 1 << 53


def requantize(
    acc: Tensor, multiplier: Tensor, shift: Tensor, zero_point: int, y_min: int, y_max: int, rounding: str, bound: int
) -> tuple[Tensor, Tensor]:
    """``clamp(zero_point + round(acc · multiplier / 2^shift), y_min, y_max) − zero_point``, and whether it lay inside.

    acc : exact integers in float32, float64 or int64
    multiplier, shift : int64, broadcast against `acc`
    rounding : one of `emulator.arithmetic.ROUNDINGS`
    bound : an upper bound of |acc|

    Returns float32 integers and a bool tensor that is true where the clamp changed nothing.
    """
    ratio = exact_ratio(multiplier, shift, bound)
    if ratio is not None:
        rounded = _round(acc.double() * ratio, rounding)
    else:
        rounded = _round_shift(acc.long() * multiplier, shift, rounding)
    low, high = y_min - zero_point, y_max - zero_point
    clamped = rounded.clamp(low, high)
    return clamped.float(), clamped == rounded


def exact_ratio(multiplier: Tensor, shift: Tensor, bound: int) -> Tensor | None:
    """``multiplier / 2^shift`` in float64 if its product with every integer up to `bound` is exact there."""
    if bound * int(multiplier.max()) >= EXACT_FLOAT64:
        return None
    # A multiplier of at most 31 bits times a power of two, made of its bits: ldexp is a pow, which may round.
    return multiplier * ((1023 - shift) << 52).view(torch.float64)


def _round(quotient: Tensor, rounding: str) -> Tensor:
    """`quotient`, exact in float64, to an integer."""
    if rounding == "half_even":
        return quotient.round()
    if rounding == "floor":
        return quotient.floor()
    whole = quotient.trunc()
    if rounding == "toward_zero":
        return whole
    # The fraction of a float is a float; adding ½ to the quotient instead would round.
    fraction = quotient - whole
    down = fraction < -0.5 if rounding == "half_up" else fraction <= -0.5
    return whole + (fraction >= 0.5).double() - down.double()


def _round_shift(product: Tensor, shift: Tensor, rounding: str) -> Tensor:
    """``round(product / 2^shift)`` in int64, shift 0 … 62."""
    quotient = product >> shift
    rest = product - (quotient << shift)
    if rounding == "floor":
        return quotient
    if rounding == "toward_zero":
        return quotient + ((quotient < 0) & (rest != 0)).long()
    # For shift 0 the rest is 0 and must stay below "half", hence 1 there.
    half = torch.ones_like(shift) << (shift - 1).clamp(min=0)
    if rounding == "half_up":
        return quotient + (rest >= half).long()
    tie_up = quotient & 1 == 1 if rounding == "half_even" else quotient >= 0
    return quotient + ((rest > half) | ((rest == half) & tie_up)).long()
