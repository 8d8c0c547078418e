"""The contract's requantization on torch tensors (sections 3 and 10): one exact product, one rounding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emulator import Arithmetic
from emulator.operators.products.walk import numba_installed
from emulator.operators.requantization.multiplier import RESCALED_BITS

from .rounding import float_thresholds, integer_thresholds
from .rows import rows, run
from .tensor import as_int

EXACT_FLOAT64 = 1 << 53


def requantize(
    acc: Tensor,
    multiplier: Tensor,
    shift: Tensor,
    zero_point: int,
    y_min: int,
    y_max: int,
    arithmetic: Arithmetic,
    bound: int,
) -> tuple[Tensor, Tensor]:
    """``clamp(zero_point + round(acc · multiplier / 2^shift), y_min, y_max) − zero_point``, and whether it lay inside.

    acc : exact integers in float32, float64 or int64
    multiplier, shift : int64, broadcast against `acc`
    bound : an upper bound of |acc|

    Returns float32 integers and a bool tensor that is true where the clamp changed nothing.
    """
    ratio = exact_ratio(multiplier, shift, bound)
    if ratio is None and multiplier.numel() == shift.numel() == 1 and _compiled(acc, bound):
        return _compiled_pass(acc, multiplier, shift, y_min - zero_point, y_max - zero_point, arithmetic)
    if ratio is not None:
        rounded = _round(acc.double() * ratio, shift, arithmetic)
    else:
        rounded = round_shift(acc.long() * multiplier, shift, arithmetic)
    low, high = y_min - zero_point, y_max - zero_point
    clamped = rounded.clamp(low, high)
    return clamped.float(), clamped == rounded


def exact(multiplier: int, bound: int) -> bool:
    """Whether float64 holds the products of the multiplier with integers up to `bound`."""
    return bound * multiplier < EXACT_FLOAT64


def exact_ratio(multiplier: Tensor, shift: Tensor, bound: int) -> Tensor | None:
    """``multiplier / 2^shift`` in float64 if its product with every integer up to `bound` is exact there."""
    if not exact(int(multiplier.max()), bound):
        return None
    # A multiplier of at most 31 bits times a power of two, made of its bits: ldexp is a pow, which may round.
    return multiplier * ((1023 - shift) << 52).view(torch.float64)


def round_shift(product: Tensor, shift: Tensor, arithmetic: Arithmetic) -> Tensor:
    """``round(product / 2^shift)`` in int64, shift 0 … 62."""
    quotient = product >> shift
    rest = product - (quotient << shift)
    even, odd, even_negative, odd_negative = _of(integer_thresholds, shift, arithmetic)
    is_odd = quotient & 1 == 1
    positive, negative = torch.where(is_odd, odd, even), torch.where(is_odd, odd_negative, even_negative)
    return quotient + (rest >= torch.where(product >= 0, positive, negative)).long()


def rescaled_sum(
    a: Tensor,
    b: Tensor,
    a_factors: tuple[int, int],
    b_factors: tuple[int, int],
    arithmetic: Arithmetic,
    subtract: bool = False,
) -> Tensor:
    """``a' + b'``, or a' − b', exact in float64: both operands of the rescaled adder on one scale (section 11).

    a, b : exact integers x − zx, of shapes that broadcast; factors : (multiplier, shift) of each
    """
    largest = arithmetic.activation_range[1] - arithmetic.activation_range[0]
    every = torch.arange(-largest, largest + 1, device=a.device)
    operands = []
    for x, (multiplier, shift) in ((a, a_factors), (b, b_factors)):
        scaled = (every << RESCALED_BITS) * multiplier
        table = round_shift(scaled, torch.tensor(shift, device=scaled.device), arithmetic).double()
        operands.append(table[(x.detach() + largest).long()])
    return operands[0] - operands[1] if subtract else operands[0] + operands[1]


def _compiled(acc: Tensor, bound: int) -> bool:
    return (
        acc.device.type == "cpu" and acc.ndim > 0 and acc.numel() > 0 and bound <= EXACT_FLOAT64 and numba_installed()
    )


def _compiled_pass(
    acc: Tensor, multiplier: Tensor, shift: Tensor, low: int, high: int, arithmetic: Arithmetic
) -> tuple[Tensor, Tensor]:
    """`requantize` of one multiplier and products that float64 does not hold."""
    from . import kernels

    acc = acc.detach().double().contiguous()
    values, state = (torch.empty_like(acc, dtype=kind) for kind in (torch.float32, torch.uint8))
    count = len(acc)
    factor, places = (np.full(count, int(part), np.int64) for part in (multiplier, shift))
    arrays = rows(acc), factor, places, integer_thresholds(places, arithmetic), rows(values), rows(state)
    run(kernels.requantize_long, arrays, np.int64(low), np.int64(high))
    return values, state == kernels.INSIDE


def _round(quotient: Tensor, shift: Tensor, arithmetic: Arithmetic) -> Tensor:
    """`quotient`, exact in float64, to an integer."""
    nearest = quotient.round()
    if arithmetic.rounding == "half_even":
        return nearest
    rest = quotient - nearest
    up, down, up_negative, down_negative = _of(float_thresholds, shift, arithmetic)
    positive = quotient >= 0
    more = (rest >= torch.where(positive, up, up_negative)).double()
    return nearest + more - (-rest >= torch.where(positive, down, down_negative)).double()


def _of(
    thresholds: Callable[[NDArray[np.int64], Arithmetic], NDArray[Any]], shift: Tensor, arithmetic: Arithmetic
) -> tuple[Tensor, ...]:
    found = np.ascontiguousarray(thresholds(as_int(shift, np.int64), arithmetic))
    return torch.from_numpy(found).to(shift.device).unbind(-1)
