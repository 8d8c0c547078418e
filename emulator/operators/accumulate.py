"""Exact integer products with a P-bit running sum (contract, section 2)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arithmetic import Arithmetic
from ..checks import check_arithmetic, check_codes, check_int, check_integers
from .products.exact_product import multiply_into, safe_columns
from .products.walk import walk_into

TILE_ROWS, TILE_COLUMNS, TILE_STEPS = 2048, 2048, 4096  # at a time, which bounds the copies
WALK_ALL = 0.25  # up to this share of safe columns the plain product is not worth its time


def accumulate(
    x: NDArray[np.int8],
    w: NDArray[np.int8],
    bias: ArrayLike,
    arithmetic: Arithmetic,
    x_zero_point: int = 0,
    w_zero_point: ArrayLike = 0,
    *,
    compiled: bool = True,
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """``acc = bias``, then ``acc = overflow_P(acc + (x[k] − zx) · (w[k] − zw))`` for k = 0, 1, …, K−1.

    x : (M, K) int8 codes of activation_bits; w : (K, N) int8 codes of weight_bits
    bias : (N,) integers of min(P, 32) bits; x_zero_point : a code of activation_bits
    w_zero_point : a code of weight_bits, or (N,) of them, one per column
    compiled : use Numba where it is installed; the NumPy route gives the same bits

    Returns the sums (M, N) int64 and, per sum, whether at least one step left the P-bit range. Raises ``TypeError`` or
    ``ValueError`` naming the argument.
    """
    start, zero, w_zero = _check(x, w, bias, arithmetic, x_zero_point, w_zero_point)
    acc = np.empty((x.shape[0], w.shape[1]), np.int64)
    overflowed = np.zeros(acc.shape, np.bool_)
    accumulate_into(x, w, start, zero, w_zero, arithmetic, acc, overflowed, compiled)
    return acc, overflowed


def linear(
    x: NDArray[np.int8],
    w: NDArray[np.int8],
    bias: ArrayLike,
    arithmetic: Arithmetic,
    x_zero_point: int = 0,
    w_zero_point: ArrayLike = 0,
    *,
    compiled: bool = True,
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """A linear layer's sums: `accumulate` with x (batch, K) and w (K, N), its rows in the stored order of x."""
    return accumulate(x, w, bias, arithmetic, x_zero_point, w_zero_point, compiled=compiled)


def check_bias(bias: ArrayLike, channels: int, arithmetic: Arithmetic) -> NDArray[np.int64]:
    """`bias` as (channels,) int64; ``ValueError`` naming the channel that does not fit min(P, 32) bits."""
    values = check_integers("bias", bias, *arithmetic.bias_range)
    if values.shape != (channels,):
        raise ValueError(f"bias must have shape ({channels},), one per output channel, not {values.shape}")
    return values


def check_weight_zero_point(w_zero_point: ArrayLike, channels: int, arithmetic: Arithmetic) -> NDArray[np.int16]:
    """`w_zero_point` as (channels,) int16; ``ValueError`` naming the channel whose zero point is no weight code."""
    values = check_integers("w_zero_point", w_zero_point, *arithmetic.weight_range)
    if values.shape not in ((), (channels,)):
        raise ValueError(
            f"w_zero_point must be a number or have shape ({channels},), one per output channel, not {values.shape}"
        )
    return np.broadcast_to(values.astype(np.int16), (channels,))


def accumulate_into(
    x: NDArray[np.int8],
    w: NDArray[np.int8],
    bias: NDArray[np.int64],
    zero_point: int,
    w_zero_point: NDArray[np.int16],
    arithmetic: Arithmetic,
    acc: NDArray[np.int64],
    overflowed: NDArray[np.bool_],
    compiled: bool,
) -> None:
    """`accumulate` without checks, into `acc` (M, N) and `overflowed` (M, N), which must be all False.

    Columns in which no partial sum can overflow take the plain product, which is then the sequential result; the others
    are walked.
    """
    safe = safe_columns(x, w, bias, zero_point, w_zero_point, arithmetic.accumulator_range)
    if safe.size and safe.mean() <= WALK_ALL:
        acc[...] = bias
        walk_into(x, w, zero_point, w_zero_point, acc, overflowed, arithmetic, compiled)
        return
    for column in range(0, w.shape[1], TILE_COLUMNS):
        part = slice(column, column + TILE_COLUMNS)
        multiply_into(x, w[:, part], bias[part], zero_point, w_zero_point[part], acc[:, part])
    (unsafe,) = np.nonzero(~safe)
    for column in range(0, len(unsafe), TILE_COLUMNS):
        columns = unsafe[column : column + TILE_COLUMNS]
        walked = np.zeros(w.shape[1], np.bool_)
        walked[columns] = True
        source = np.maximum(np.cumsum(walked) - 1, 0)  # of a walked column, its place among them
        for row in range(0, x.shape[0], TILE_ROWS):
            rows = slice(row, row + TILE_ROWS)
            sums = np.tile(bias[columns], (len(acc[rows]), 1))
            flags = np.zeros(sums.shape, np.bool_)
            for step in range(0, x.shape[1], TILE_STEPS):
                steps = slice(step, step + TILE_STEPS)
                operands = x[rows, steps], w[steps, columns], zero_point, w_zero_point[columns]
                walk_into(*operands, sums, flags, arithmetic, compiled)
            # Four times as fast as an assignment to `acc[rows, columns]`.
            np.copyto(acc[rows], np.take(sums, source, axis=1), where=walked)
            np.copyto(overflowed[rows], np.take(flags, source, axis=1), where=walked)


def _check(
    x: NDArray[np.int8],
    w: NDArray[np.int8],
    bias: ArrayLike,
    arithmetic: Arithmetic,
    x_zero_point: int,
    w_zero_point: ArrayLike,
) -> tuple[NDArray[np.int64], int, NDArray[np.int16]]:
    check_arithmetic(arithmetic)
    check_codes("x", x, 2, *arithmetic.activation_range)
    check_codes("w", w, 2, *arithmetic.weight_range)
    if x.shape[1] != w.shape[0]:
        raise ValueError(f"w must have {x.shape[1]} rows, one per column of x, not shape {w.shape}")
    zero = check_int("x_zero_point", x_zero_point, *arithmetic.activation_range)
    w_zero = check_weight_zero_point(w_zero_point, w.shape[1], arithmetic)
    return check_bias(bias, w.shape[1], arithmetic), zero, w_zero
