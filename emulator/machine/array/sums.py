"""Partial sums on their way through the array: the steps of the contract's section 2, in their order."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..compiled import BLOCK, compiled

PRODUCT_BITS = 15
"""|code − zero point| · |weight| stays below 2^15, where weights have zero points below 2^16."""


@compiled
def read_bias(parameters: Any, entry: int, bits: int, starts: Any, flags: Any) -> None:
    """The biases of an entry, their low `bits` bits sign-extended, and flags of 0."""
    half = np.int64(1) << (bits - 1)
    mask = (half << 1) - 1
    low, second = parameters[entry, 0], parameters[entry, 1]
    third, high = parameters[entry, 2], parameters[entry, 3]
    for c in range(starts.shape[0]):
        word = np.int64(low[c]) | np.int64(second[c]) << 8 | np.int64(third[c]) << 16 | np.int64(high[c]) << 24
        starts[c] = ((word & mask) ^ half) - half
    for c in range(starts.shape[0]):
        flags[c] = 0


@compiled
def _magnitude(starts: Any) -> int:
    """A number that no start's distance from 0 exceeds, less than twice the largest of them."""
    whole, bits = len(starts) & -BLOCK, np.int64(0)
    for b in range(0, whole, BLOCK):
        for k in range(BLOCK):
            bits |= starts[b + k] ^ (starts[b + k] >> 63)
    for c in range(whole, len(starts)):
        bits |= starts[c] ^ (starts[c] >> 63)
    return int(bits + 1)


@compiled
def _four(x: Any, weight: Any, r: int, c: int) -> np.int32:
    """The products of four rows from r on, added; they fit 32 bits."""
    return np.int32(
        x[r] * weight[r, c] + x[r + 1] * weight[r + 1, c] + x[r + 2] * weight[r + 2, c] + x[r + 3] * weight[r + 3, c]
    )


@compiled
def _add_rows(x: Any, weight: Any, r: int, starts: Any) -> None:
    """Add the products of `BLOCK` rows from r on."""
    whole = len(starts) & -BLOCK
    for b in range(0, whole, BLOCK):
        for k in range(BLOCK):
            starts[b + k] += np.int32(_four(x, weight, r, b + k) + _four(x, weight, r + 4, b + k))
    for c in range(whole, len(starts)):
        starts[c] += _four(x, weight, r, c) + _four(x, weight, r + 4, c)


@compiled
def _add_row(x: int, weight: Any, starts: Any) -> None:
    """Add the products of one row."""
    whole = len(starts) & -BLOCK
    for b in range(0, whole, BLOCK):
        for k in range(BLOCK):
            starts[b + k] += np.int32(x * weight[b + k])
    for c in range(whole, len(starts)):
        starts[c] += x * weight[c]


@compiled
def accumulate(x: Any, weight: Any, starts: Any, flags: Any, config: Any) -> None:
    """starts and flags (columns,) become those after the products x[r] · weight[r, c], r ascending, in P bits.

    weight : codes minus their zero points
    """
    rows, columns = weight.shape
    bits = config.accumulator_bits
    high = (np.int64(1) << (bits - 1)) - 1
    if _magnitude(starts) <= high - (np.int64(rows) << (PRODUCT_BITS + config.weight_zero_points)):
        # No order of these products can leave P bits.
        whole = rows & -BLOCK
        for r in range(0, whole, BLOCK):
            _add_rows(x, weight, r, starts)
        for r in range(whole, rows):
            _add_row(x[r], weight[r], starts)
    elif config.saturate:
        for r in range(rows):
            value = np.int64(x[r])
            for c in range(columns):
                exact = starts[c] + value * weight[r, c]
                kept = min(max(exact, -high - 1), high)
                flags[c] |= np.uint8(exact != kept)
                starts[c] = kept
    else:
        spare = 64 - bits
        for r in range(rows):
            value = np.int64(x[r])
            for c in range(columns):
                exact = starts[c] + value * weight[r, c]
                kept = (exact << spare) >> spare
                flags[c] |= np.uint8(exact != kept)
                starts[c] = kept
