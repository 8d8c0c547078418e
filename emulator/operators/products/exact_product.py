"""Exact matrix products of codes where no partial sum can overflow (contract, sections 5 and 6)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..shared.threads import in_parallel, processors
from .byte_product import MAX_STEPS as MAX_BYTE_STEPS
from .byte_product import ByteProduct, byte_product, flipped

FLOAT32_INTEGERS = 1 << 24  # float32 holds every integer up to here
MAX_STEPS = 4096  # of K at a time, which bounds the float copies
SUM_ELEMENTS, ROW_ELEMENTS = 1 << 22, 1 << 23  # float sums and codes of x at a time: 16 and 32 MiB
CACHED_ELEMENTS = 1 << 16
MAX_COLUMNS = 4096  # whose weights are looked at together
BLOCK_SUMS = 1 << 17  # of a byte product, 512 KiB, which stay in a processor's cache
LEAST_ROWS = 32  # of a byte product, whose library brings the right operand into its own order at each call


def multiply_into(
    x: NDArray[np.int8],
    w: NDArray[np.int8],
    bias: NDArray[np.int64],
    zero_point: int,
    w_zero_point: NDArray[np.int16],
    acc: NDArray[np.int64],
) -> None:
    """``acc = bias + (x − zero_point) · (w − w_zero_point)``, exact in int64.

    x : (M, K), w : (K, N) int8; bias : (N,) int64; w_zero_point : (N,); acc : (M, N) int64, overwritten

    By a product of bytes where one is exact here and no weight has a zero point, otherwise by one of float32.
    """
    product = None if w_zero_point.any() else byte_product(acc.size * x.shape[1])
    if product is not None:
        _multiply_bytes(product, x, w, bias, zero_point, acc)
    else:
        _multiply_float32(x, w, bias, zero_point, w_zero_point, acc)


def _multiply_bytes(
    product: ByteProduct,
    x: NDArray[np.int8],
    w: NDArray[np.int8],
    bias: NDArray[np.int64],
    zero_point: int,
    acc: NDArray[np.int64],
) -> None:
    """`multiply_into`; the sums of a block of rows are widened while they lie in the cache."""
    for first in range(0, x.shape[1], MAX_BYTE_STEPS):
        steps = slice(first, first + MAX_BYTE_STEPS)
        right = np.ascontiguousarray(w[steps])
        constant = (bias if first == 0 else 0) - (zero_point + 128) * product.column_sums(right)

        def block(rows: slice, steps: slice = steps, right: Any = right, constant: Any = constant) -> None:
            sums = product(flipped(np.ascontiguousarray(x[rows, steps])), right)
            if steps.start == 0:
                np.add(sums, constant, out=acc[rows])
            else:
                acc[rows] += sums + constant

        in_parallel(block, row_blocks(len(x), acc.shape[1]))


def row_blocks(rows: int, columns: int) -> list[slice]:
    """Rows of (M, N) sums in blocks for a byte product: small enough for the cache, and one for each processor."""
    each = max(LEAST_ROWS, min(BLOCK_SUMS // max(1, columns), -(-rows // processors())))
    return [slice(row, min(rows, row + each)) for row in range(0, rows, each)]


def _multiply_float32(
    x: NDArray[np.int8],
    w: NDArray[np.int8],
    bias: NDArray[np.int64],
    zero_point: int,
    w_zero_point: NDArray[np.int16],
    acc: NDArray[np.int64],
) -> None:
    """`multiply_into`.

    The codes of x themselves are multiplied, and their zero point's share, the same for all rows, is subtracted in
    int64. K is split so that every sum of magnitudes, in whatever order the library adds, stays within 2^24.
    """
    (count, depth), columns = x.shape, w.shape[1]
    if not depth:
        acc[...] = bias
        return
    largest = largest_code(x) * _largest_weight(w, w_zero_point)
    steps = max(1, min(MAX_STEPS, depth, FLOAT32_INTEGERS // max(1, largest)))
    rows = max(1, min(count, SUM_ELEMENTS // max(1, columns), ROW_ELEMENTS // steps))
    # One allocation for all float copies: the C library keeps freed memory up to twice the largest block it has seen
    # freed. With an allocation for each it would give all back, and fetching it again, page by page, takes longer than
    # the conversions.
    scratch = np.empty((rows + columns) * steps + rows * columns, np.float32)
    codes, weights, sums = np.split(scratch, [rows * steps, (rows + columns) * steps])
    for first in range(0, depth, steps):
        length = min(steps, depth - first)
        right = weights[: length * columns].reshape(length, columns)
        np.subtract(w[first : first + length], w_zero_point, out=right)
        constant = (bias if first == 0 else 0) - zero_point * right.sum(axis=0).astype(np.int64)
        for row in range(0, count, rows):
            some = acc[row : row + rows]
            left = codes[: len(some) * length].reshape(len(some), length)
            left[...] = x[row : row + rows, first : first + length]
            product = sums[: some.size].reshape(some.shape)
            np.matmul(left, right, out=product)
            _convert(product, constant, some, add=first > 0)


def _convert(product: NDArray[np.float32], constant: NDArray[np.int64], acc: NDArray[np.int64], add: bool) -> None:
    """``acc = product + constant``, or ``acc += …`` with `add`, in pieces that stay in the cache from step to step."""
    rows = max(1, CACHED_ELEMENTS // max(1, acc.shape[1]))
    for row in range(0, len(acc), rows):
        some = acc[row : row + rows]
        if add:
            some += product[row : row + rows].astype(np.int64)
        else:
            some[...] = product[row : row + rows]
        some += constant


def safe_columns(
    x: NDArray[np.int8],
    w: NDArray[np.int8],
    bias: NDArray[np.int64],
    zero_point: int,
    w_zero_point: NDArray[np.int16],
    accumulator_range: tuple[int, int],
) -> NDArray[np.bool_]:
    """(N,) bool: the columns where no partial sum can leave the range, for any order and any codes as extreme as x's.

    With a = max(x − zx), b = max(zx − x), both at least 0, q⁺ = Σ max(w − zw, 0) and q⁻ = Σ max(zw − w, 0), a column's
    partial sums lie between bias − b·q⁺ − a·q⁻ and bias + a·q⁺ + b·q⁻.
    """
    low, high = accumulator_range
    above = max(0, int(x.max(initial=-128)) - zero_point)
    below = max(0, zero_point - int(x.min(initial=127)))
    worst = w.shape[0] * max(above, below) * _largest_weight(w, w_zero_point)
    safe: NDArray[np.bool_] = (bias >= low + worst) & (bias <= high - worst)
    (unsure,) = np.nonzero(~safe)
    for first in range(0, len(unsure), MAX_COLUMNS):
        columns = unsure[first : first + MAX_COLUMNS]
        positive, negative = _signed_sums(w, w_zero_point, columns)
        highest = bias[columns] + above * positive + below * negative
        lowest = bias[columns] - below * positive - above * negative
        safe[columns] = (highest <= high) & (lowest >= low)
    return safe


def _signed_sums(
    w: NDArray[np.int8], zero_point: NDArray[np.int16], columns: NDArray[np.intp]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Per column, the sum of the positive w − zw and minus the sum of the negative ones."""
    positive = np.zeros(len(columns), np.int64)
    negative = np.zeros(len(columns), np.int64)
    product = None if zero_point.any() else byte_product(w.shape[0] * len(columns))
    for first in range(0, w.shape[0], MAX_STEPS):
        part: NDArray[Any] = w[first : first + MAX_STEPS, columns]
        if product is not None:
            positive += product.column_sums(np.maximum(part, 0))
            negative -= product.column_sums(np.minimum(part, 0))
            continue
        part = part - zero_point[columns]
        positive += np.maximum(part, 0).sum(axis=0, dtype=np.int64)
        negative -= np.minimum(part, 0).sum(axis=0, dtype=np.int64)
    return positive, negative


def largest_code(codes: NDArray[Any]) -> int:
    """max |codes|, 0 of none."""
    return max(int(codes.max(initial=0)), -int(codes.min(initial=0)))


def _largest_weight(w: NDArray[np.int8], zero_point: NDArray[np.int16]) -> int:
    """max |w − zw|, from one pass over the weights."""
    if not zero_point.any():
        return largest_code(w)
    if not w.size:
        return 0
    return max(largest_code(w.max(axis=0) - zero_point), largest_code(w.min(axis=0) - zero_point))
