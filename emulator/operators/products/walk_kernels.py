"""Numba kernels of the sequential walk; this module imports Numba, so it is imported only where a kernel runs.

All kernels continue sums in place over the K of their operands, k ascending:

left : (R, K) int16, one operand of the products
right : (B, K, LANES) int16, the other operand, its columns in blocks of LANES
acc : (R, B, LANES) signed integers, the sums, within low … high
flag : as acc; a kernel says what it leaves there
low, high : of acc's type, the P-bit range

All arrays are C-contiguous; the strides of others would keep the compiler from using SIMD.

|left · right| is at most 255 · 255 = 65025, and in `saturate_16` at most PRODUCT_16, which every product of a 9-bit and
an 8-bit code is (255 · 128 = 32640). K is a multiple of UNROLL: rows of zeros fill it up, they change nothing. The
compiler makes SIMD lanes of the columns; a sum stays in its register for UNROLL steps, and CACHED_STEPS of one block of
`right` stay in the cache for all rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import int16, int32, njit

LANES = 128
UNROLL = 4
CACHED_STEPS = 256  # 64 KiB
PRODUCT_16 = (1 << 15) - 1

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def compiled_kernel(function: Kernel) -> Kernel:
    """A kernel that Python calls, compiled at its first call, without the interpreter's lock."""
    return cast(Kernel, njit(nogil=True, cache=True)(function))


def compiled_step(function: Kernel) -> Kernel:
    """A part of kernels, compiled into each of them."""
    return cast(Kernel, njit(inline="always")(function))


@compiled_step
def saturate_16_step(a: Any, f: Any, x: Any, w: Any, low: Any, high: Any) -> Any:
    product = int16(x * w)
    wrapped = int16(a + product)
    # This pattern compiles to the saturating 16-bit addition; sums narrower than 16 bits are clamped once more.
    full = int16(min(max(int32(a) + int32(product), int32(-32768)), int32(32767)))
    a = int16(min(max(full, low), high))
    # A saturated sum differs from the exact one by at most 2^15, so never by a multiple of 2^16.
    return a, int16(f | (wrapped ^ a))


@compiled_step
def saturate_step(a: Any, f: Any, x: Any, w: Any, low: Any, high: Any) -> Any:
    exact = type(low)(a + type(low)(type(low)(x) * type(low)(w)))
    a = type(low)(min(max(exact, low), high))
    return a, type(low)(f | (exact ^ a))


@compiled_step
def wrap_step(a: Any, f: Any, x: Any, w: Any, low: Any, high: Any) -> Any:
    exact = type(low)(a + type(low)(type(low)(x) * type(low)(w)))
    # high − low is 2^P − 1, the mask of P bits. Every intermediate is cast back, or it would be computed in int64.
    a = type(low)(type(low)(type(low)(exact - low) & type(low)(high - low)) + low)
    return a, type(low)(f | (exact ^ a))


@compiled_step
def _walk(step: Any, left: Any, right: Any, acc: Any, flag: Any, low: Any, high: Any) -> None:
    rows, depth = left.shape
    for block in range(right.shape[0]):
        for first in range(0, depth, CACHED_STEPS):
            for row in range(rows):
                for k in range(first, min(first + CACHED_STEPS, depth), UNROLL):
                    x0, x1, x2, x3 = left[row, k], left[row, k + 1], left[row, k + 2], left[row, k + 3]
                    for lane in range(LANES):
                        a, f = acc[row, block, lane], flag[row, block, lane]
                        a, f = step(a, f, x0, right[block, k, lane], low, high)
                        a, f = step(a, f, x1, right[block, k + 1, lane], low, high)
                        a, f = step(a, f, x2, right[block, k + 2, lane], low, high)
                        a, f = step(a, f, x3, right[block, k + 3, lane], low, high)
                        acc[row, block, lane] = a
                        flag[row, block, lane] = f


@compiled_kernel
def saturate_16(left: Any, right: Any, acc: Any, flag: Any, low: Any, high: Any) -> None:
    """Saturating sums of at most 16 bits in int16; `flag` becomes nonzero where a step left the range."""
    _walk(saturate_16_step, left, right, acc, flag, low, high)


@compiled_kernel
def saturate(left: Any, right: Any, acc: Any, flag: Any, low: Any, high: Any) -> None:
    """Saturating sums in int32 (at most 31 bits) or int64; `flag` becomes nonzero where a step left the range."""
    _walk(saturate_step, left, right, acc, flag, low, high)


@compiled_kernel
def wrap(left: Any, right: Any, acc: Any, flag: Any, low: Any, high: Any) -> None:
    """Wrapping sums in int32 (at most 31 bits) or int64; `flag` becomes nonzero where a step left the range."""
    _walk(wrap_step, left, right, acc, flag, low, high)
