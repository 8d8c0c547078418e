"""Softmax of codes: a table of exp, an exact sum, one reciprocal for each row (contract, section 15)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...arithmetic import Arithmetic
from ..requantization.requantize import requantize_unchecked
from .masks import check_mask
from .rows import bit_length, check_rows, row_multiplier_bits
from .softmax_parameters import FACTOR_BITS, RECIPROCAL_BITS, TABLE_BITS, SoftmaxParameters

Integers = NDArray[np.int64]


def softmax(
    x: NDArray[np.int8], parameters: SoftmaxParameters, arithmetic: Arithmetic, mask: ArrayLike | None = None
) -> NDArray[np.int8]:
    """Softmax over the last axis: int8 codes, shaped as `x`.

    x : (…, N) int8 codes of activation_bits, 1 ≤ N ≤ 4096
    mask : integers, 1 where an element counts and 0 where its probability is 0, of a shape that broadcasts to that of
    x; None: all count. A row in which none counts has the probability 0 everywhere.

    Rounded by the arithmetic's rounding; with one to the nearest, a code is at most 0.51 from the real softmax of the
    dequantized codes. Raises ``TypeError`` or ``ValueError`` naming the argument.
    """
    return softmax_with_clips(x, parameters, arithmetic, mask)[0]


def softmax_with_clips(
    x: NDArray[np.int8], parameters: SoftmaxParameters, arithmetic: Arithmetic, mask: ArrayLike | None = None
) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
    """`softmax`, and per element whether the output clipped."""
    codes = check_rows(x, arithmetic).astype(np.int64)
    if not isinstance(parameters, SoftmaxParameters):
        raise TypeError(f"parameters must be a SoftmaxParameters, not {parameters!r}")
    parameters.check(arithmetic)
    counts = np.True_ if mask is None else check_mask(mask, codes.shape)
    largest = np.where(counts, codes, arithmetic.activation_range[0]).max(axis=-1, keepdims=True)
    entries = np.where(counts, parameters.table[np.where(counts, largest - codes, 0)], 0)
    multiplier, shift = row_multiplier(entries.sum(axis=-1, keepdims=True), parameters, arithmetic)
    clamp = parameters.zero_point, parameters.y_min, parameters.y_max
    return requantize_unchecked(entries >> (TABLE_BITS - FACTOR_BITS), multiplier, shift, *clamp, arithmetic)


def row_multiplier(total: Integers, parameters: SoftmaxParameters, arithmetic: Arithmetic) -> tuple[Integers, Integers]:
    """(multiplier, shift) with which a row's factors become codes, of the sum of its entries, 0 … 4096 · (2^28 − 2^5).

    multiplier : 2^(B − 1) … 2^B − 1, B = `row_multiplier_bits`; shift : 17 … 58. Both are 0 where the sum is.
    """
    none = total == 0
    length = np.where(none, RECIPROCAL_BITS, bit_length(total))
    divisor = np.where(none, 1, total) << np.maximum(RECIPROCAL_BITS - length, 0)
    divisor >>= np.maximum(length - RECIPROCAL_BITS, 0)
    bits = row_multiplier_bits(arithmetic)
    digits = bits - (parameters.reciprocal >= divisor)
    dividend = parameters.reciprocal << digits
    quotient, rest = dividend // divisor, dividend % divisor
    multiplier = np.minimum(quotient + (2 * rest >= divisor), (1 << bits) - 1)
    shift = digits + parameters.reciprocal_shift + length - (RECIPROCAL_BITS + TABLE_BITS - FACTOR_BITS)
    return np.where(none, 0, multiplier), np.where(none, 0, shift)
