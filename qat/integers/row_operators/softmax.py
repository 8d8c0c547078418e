"""The contract's softmax on torch tensors (section 15), and the real one that its gradients come from."""

from __future__ import annotations

import torch
from torch import Tensor

from emulator import Arithmetic
from emulator.operators.row_operators import SoftmaxParameters
from emulator.operators.row_operators.masks import check_mask_shape
from emulator.operators.row_operators.rows import check_length, row_multiplier_bits
from emulator.operators.row_operators.softmax_parameters import FACTOR_BITS, RECIPROCAL_BITS, TABLE_BITS

from ..requantize import requantize
from .integers import bit_length


def softmax(
    centered: Tensor, parameters: SoftmaxParameters, arithmetic: Arithmetic, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Codes of the softmax over the last axis minus their zero point, float32, and where the clamp changed nothing.

    centered : (…, N) exact integers, codes minus any zero point, of any type; 1 ≤ N ≤ 4096
    mask : bool or 0 and 1, of a shape that broadcasts to that of `centered`; None: all elements count

    Raises ``ValueError`` for rows and masks of the wrong shape.
    """
    shape = tuple(centered.shape)
    check_length(shape)
    codes = centered.detach().long()
    table = torch.from_numpy(parameters.table).to(codes.device)
    if mask is None:
        entries = table[codes.amax(-1, keepdim=True) - codes]
    else:
        counts = check_mask(mask, shape)
        least = -parameters.table.shape[0]  # below every difference of two codes
        largest = torch.where(counts, codes, least).amax(-1, keepdim=True)
        entries = torch.where(counts, table[torch.where(counts, largest - codes, 0)], 0)
    multiplier, shift = row_multiplier(entries.sum(-1, keepdim=True), parameters, arithmetic)
    factors = entries >> (TABLE_BITS - FACTOR_BITS)
    clamp = parameters.zero_point, parameters.y_min, parameters.y_max
    return requantize(factors, multiplier, shift, *clamp, arithmetic, (1 << FACTOR_BITS) - 1)


def row_multiplier(total: Tensor, parameters: SoftmaxParameters, arithmetic: Arithmetic) -> tuple[Tensor, Tensor]:
    """(multiplier, shift) of rows whose entries have the sum `total`, int64."""
    none = total == 0
    length = torch.where(none, RECIPROCAL_BITS, bit_length(total))
    divisor = torch.where(none, 1, total) << (RECIPROCAL_BITS - length).clamp_min(0)
    divisor >>= (length - RECIPROCAL_BITS).clamp_min(0)
    bits = row_multiplier_bits(arithmetic)
    digits = bits - (divisor <= parameters.reciprocal).long()
    dividend = torch.full_like(digits, parameters.reciprocal) << digits
    quotient = dividend // divisor
    rest = dividend - quotient * divisor
    multiplier = (quotient + (2 * rest >= divisor)).clamp_max((1 << bits) - 1)
    shift = digits + parameters.reciprocal_shift + length - (RECIPROCAL_BITS + TABLE_BITS - FACTOR_BITS)
    return torch.where(none, 0, multiplier), torch.where(none, 0, shift)


def real_softmax(x: Tensor, mask: Tensor | None = None, beta: float = 1.0) -> Tensor:
    """softmax(beta · x) over the last axis in floats, 0 where `mask` is; rows that it leaves empty have no gradient."""
    if mask is None:
        return (beta * x).softmax(-1)
    counts = check_mask(mask, tuple(x.shape))
    some = counts.any(-1, keepdim=True)
    shares = torch.where(counts | ~some, beta * x, -torch.inf).softmax(-1)
    return torch.where(some, shares, 0)


def check_mask(mask: Tensor, shape: tuple[int, ...]) -> Tensor:
    """`mask` as bool; raises ``ValueError`` unless it broadcasts to `shape`."""
    check_mask_shape(tuple(mask.shape), shape)
    return mask.bool()
