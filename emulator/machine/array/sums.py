"""Partial sums on their way through the array: the steps of the contract's section 2, in their order."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..compiled import compiled

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
def accumulate(x: Any, weight: Any, across: Any, starts: Any, flags: Any, config: Any) -> None:
    """starts and flags (columns,) become those after the products x[r] · weight[r, c], r ascending, in P bits.

    weight : codes minus their zero points; across : the same once more, [c, r]: the order in which exact sums are
    fastest
    """
    rows, columns = weight.shape
    bits = config.accumulator_bits
    high = (np.int64(1) << (bits - 1)) - 1
    safe = high - (np.int64(rows) << (PRODUCT_BITS + config.weight_zero_points))
    far = False
    for c in range(columns):
        far |= (starts[c] > safe) | (starts[c] < -safe)
    if not far:  # no order of these products can leave P bits
        for c in range(columns):
            total = np.int32(0)
            for r in range(rows):
                total = np.int32(total + np.int32(x[r]) * np.int32(across[c, r]))
            starts[c] += total
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
