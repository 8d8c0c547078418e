"""The sequential walk: a running sum brought back into P bits after every single step (contract, section 2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...arithmetic import Arithmetic
from ..shared.optional_library import installed
from ..shared.threads import processors
from .exact_product import largest_code

Sums = NDArray[np.int64]
Flags = NDArray[np.bool_]

# One tile of the compiled route takes at most about 100 MB, whatever the shape.
TILE_ROWS, TILE_LANES, TILE_STEPS = 2048, 2048, 2048
PARALLEL_STEPS = 1 << 22  # below this many products a second thread does not pay


def walk(
    left: NDArray[Any],
    right: NDArray[Any],
    acc: Sums,
    overflowed: Flags,
    arithmetic: Arithmetic,
    *,
    compiled: bool = True,
) -> tuple[Sums, Flags]:
    """Sums continued from (acc, overflowed) over these operands: what hardware carries from one K-tile to the next.

    left : (M, K) integers −255 … 255, x − zx; right : (K, N) integers −255 … 255, w − zw
    acc : (M, N) int64, the sums so far, in P bits; overflowed : (M, N) bool, the flags so far
    compiled : use Numba where it is installed; the NumPy route gives the same bits

    Returns the new (acc, overflowed); the arguments stay as they are.
    """
    acc, overflowed = acc.copy(), overflowed.copy()
    walk_into(left, right, 0, np.zeros(right.shape[1], np.int16), acc, overflowed, arithmetic, compiled)
    return acc, overflowed


def walk_into(
    x: NDArray[Any],
    w: NDArray[Any],
    zero_point: int,
    w_zero_point: NDArray[np.int16],
    acc: Sums,
    overflowed: Flags,
    arithmetic: Arithmetic,
    compiled: bool,
) -> None:
    """`walk` in place, with x − zero_point as the left operand and w − w_zero_point, (N,), as the right one."""
    for rows, columns in _tiles(acc.shape):
        for steps in _steps(x.shape[1]):
            left = x[rows, steps].astype(np.int16) - np.int16(zero_point)
            right = w[steps, columns].astype(np.int16) - w_zero_point[columns]
            sums, flags = acc[rows, columns], overflowed[rows, columns]
            if compiled and numba_installed():
                _walk_compiled(left, right, sums, flags, arithmetic)
            else:
                _walk_numpy(left, right, sums, flags, arithmetic)


def numba_installed() -> bool:
    """Whether the compiled route can be taken; looks, but imports nothing."""
    return installed("numba")


def _tiles(shape: tuple[int, ...]) -> Iterator[tuple[slice, slice]]:
    for row in range(0, shape[0], TILE_ROWS):
        for column in range(0, shape[1], TILE_LANES):
            yield slice(row, row + TILE_ROWS), slice(column, column + TILE_LANES)


def _steps(depth: int) -> Iterator[slice]:
    for step in range(0, depth, TILE_STEPS):
        yield slice(step, step + TILE_STEPS)


def _walk_numpy(left: NDArray[Any], right: NDArray[Any], acc: Sums, overflowed: Flags, arithmetic: Arithmetic) -> None:
    """One tile in place."""
    for k in range(left.shape[1]):
        step_into(acc + left[:, k, None].astype(np.int64) * right[k].astype(np.int64), acc, overflowed, arithmetic)


def step_into(exact: Sums, acc: Sums, overflowed: Flags, arithmetic: Arithmetic) -> None:
    """One step of a walk: acc becomes `exact` brought back into P bits, and overflowed where that changes it."""
    low, high = arithmetic.accumulator_range
    if arithmetic.overflow == "saturate":
        np.clip(exact, low, high, out=acc)
    else:
        np.add((exact - low) & (high - low), low, out=acc)
    np.logical_or(overflowed, acc != exact, out=overflowed)


def _walk_compiled(
    left: NDArray[Any], right: NDArray[Any], acc: Sums, overflowed: Flags, arithmetic: Arithmetic
) -> None:
    """One tile in place, as `_walk_numpy`. The SIMD lanes are the columns, or the rows where that wastes fewer."""
    from .walk_kernels import LANES

    rows, columns = acc.shape
    if rows * -(-columns // LANES) <= columns * -(-rows // LANES):
        _walk_lanes(left, right, acc, overflowed, arithmetic)
    else:
        _walk_lanes(right.T, left.T, acc.T, overflowed.T, arithmetic)


def _walk_lanes(left: NDArray[Any], right: NDArray[Any], acc: Sums, overflowed: Flags, arithmetic: Arithmetic) -> None:
    from .walk_kernels import LANES, UNROLL

    kernel, dtype = _kernel(arithmetic, largest_code(left) * largest_code(right))
    low, high = (dtype(limit) for limit in arithmetic.accumulator_range)
    rows, columns = acc.shape
    blocks, depth = -(-columns // LANES), -(-left.shape[1] // UNROLL) * UNROLL
    padded_left = np.zeros((rows, depth), np.int16)
    padded_left[:, : left.shape[1]] = left
    padded_right = np.zeros((blocks, depth, LANES), np.int16)
    for block in range(blocks):
        part = right[:, block * LANES : (block + 1) * LANES]
        padded_right[block, : part.shape[0], : part.shape[1]] = part
    sums = np.zeros((rows, blocks * LANES), dtype)
    sums[:, :columns] = acc
    flags = np.zeros((rows, blocks * LANES), dtype)

    def run(first: int) -> None:
        part = slice(first, first + each)
        shape = (-1, blocks, LANES)
        kernel(padded_left[part], padded_right, sums[part].reshape(shape), flags[part].reshape(shape), low, high)

    threads = processors() if sums.size * depth >= PARALLEL_STEPS else 1
    each = -(-rows // threads)
    if each >= rows:
        run(0)
    else:  # the parts write disjoint rows, so the threads share nothing that changes
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(run, range(0, rows, each)))

    acc[...] = sums[:, :columns]
    np.logical_or(overflowed, flags[:, :columns], out=overflowed)


def _kernel(arithmetic: Arithmetic, product: int) -> tuple[Callable[..., None], Any]:
    """The kernel for these sums of products of at most that magnitude, and the narrowest type that holds its steps."""
    from . import walk_kernels as kernels

    narrow = arithmetic.accumulator_bits <= 31  # 2^30 + 2^16 fits int32
    if arithmetic.overflow == "wrap":
        return kernels.wrap, np.int32 if narrow else np.int64
    if arithmetic.accumulator_bits <= 16 and product <= kernels.PRODUCT_16:
        return kernels.saturate_16, np.int16
    return kernels.saturate, np.int32 if narrow else np.int64
