"""Numba kernels of saturating sums of at most 16 bits, for training: no flags, and a lane for each output channel.

This module imports Numba, so it is imported where a kernel runs. All arrays are C-contiguous:

x : (…) int16, the values x − zx with their padding, channels last, and UNROLL more
base : (groups, ROWS) int64, where in `x` the window of each output position begins; ROWS positions are a group
offsets : (runs,) int64, how far behind it each run of values lies that are neighbours in memory
acc : (groups, ROWS, …) int16, the sums, continued in place
low, high : int16, the P-bit range, in which the sums are

Every |x · w| must be at most 2^15 − 1, so that it fits int16. Loops over lanes become SIMD.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import int16, int32, njit, uint64

LANES = 16, 32, 64
"""How many channels a block may have: few channels leave few lanes of theirs idle."""
UNROLL = 4
ROWS = 4  # positions that share a load of weights
TILE = 32  # groups whose sums stay in the first cache, and
STEPS = 64  # the steps whose weights do
TURNED = 64  # positions at a time whose axes are exchanged within the first cache

# Of indices that are known not to be negative: none of them is asked whether it counts from the end.
ONE, TWO, THREE = np.uint64(1), np.uint64(2), np.uint64(3)

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def _kernel(function: Kernel) -> Kernel:
    return cast(Kernel, njit(nogil=True, cache=True)(function))


def _part(function: Kernel) -> Kernel:
    return cast(Kernel, njit(function))


@_part
def _add(a: Any, x: Any, w: Any) -> Any:
    # This pattern compiles to the saturating addition of 16 bits.
    return int16(min(max(int32(a) + int32(int16(x * w)), int32(-32768)), int32(32767)))


@_part
def _add_within(a: Any, x: Any, w: Any, low: Any, high: Any) -> Any:
    return int16(min(max(_add(a, x, w), low), high))


def _dense(lanes: int) -> Callable[..., None]:
    """Sums over windows that all output channels read, whose blocks have so many lanes, a constant for the compiler.

    acc : (groups, ROWS, blocks, lanes), the channels in blocks
    weight : (runs, length, blocks, lanes) int16; length, a multiple of UNROLL, is a run's, filled up with weights of 0
    """

    @_kernel
    def dense(acc: Any, base: Any, x: Any, offsets: Any, weight: Any, low: Any, high: Any) -> None:
        runs, length, blocks = weight.shape[:3]
        for start in range(0, len(acc), TILE):
            for block in range(blocks):
                for run in range(runs):
                    for first in range(0, length, STEPS):
                        for group in range(start, min(start + TILE, len(acc))):
                            at0, at1 = uint64(base[group, 0] + offsets[run]), uint64(base[group, 1] + offsets[run])
                            at2, at3 = uint64(base[group, 2] + offsets[run]), uint64(base[group, 3] + offsets[run])
                            last = min(first + STEPS, length)
                            for step in range(first, last if low == -32768 else first, UNROLL):
                                k = uint64(step)
                                p0, p1, p2, p3 = x[at0 + k], x[at0 + k + ONE], x[at0 + k + TWO], x[at0 + k + THREE]
                                q0, q1, q2, q3 = x[at1 + k], x[at1 + k + ONE], x[at1 + k + TWO], x[at1 + k + THREE]
                                r0, r1, r2, r3 = x[at2 + k], x[at2 + k + ONE], x[at2 + k + TWO], x[at2 + k + THREE]
                                s0, s1, s2, s3 = x[at3 + k], x[at3 + k + ONE], x[at3 + k + TWO], x[at3 + k + THREE]
                                for lane in range(lanes):
                                    w0, w1 = weight[run, k, block, lane], weight[run, k + ONE, block, lane]
                                    w2, w3 = weight[run, k + TWO, block, lane], weight[run, k + THREE, block, lane]
                                    p, q = acc[group, 0, block, lane], acc[group, 1, block, lane]
                                    r, s = acc[group, 2, block, lane], acc[group, 3, block, lane]
                                    p, q = _add(_add(p, p0, w0), p1, w1), _add(_add(q, q0, w0), q1, w1)
                                    r, s = _add(_add(r, r0, w0), r1, w1), _add(_add(s, s0, w0), s1, w1)
                                    acc[group, 0, block, lane] = _add(_add(p, p2, w2), p3, w3)
                                    acc[group, 1, block, lane] = _add(_add(q, q2, w2), q3, w3)
                                    acc[group, 2, block, lane] = _add(_add(r, r2, w2), r3, w3)
                                    acc[group, 3, block, lane] = _add(_add(s, s2, w2), s3, w3)
                            # Sums of fewer bits are clamped once more.
                            for step in range(first if low > -32768 else last, last):
                                for row in range(ROWS):
                                    value = x[base[group, row] + offsets[run] + step]
                                    for lane in range(lanes):
                                        a, w = acc[group, row, block, lane], weight[run, step, block, lane]
                                        acc[group, row, block, lane] = _add_within(a, value, w, low, high)

    return dense


DENSE = {lanes: _dense(lanes) for lanes in LANES}


@_kernel
def depthwise(acc: Any, base: Any, x: Any, offsets: Any, weight: Any, low: Any, high: Any) -> None:
    """Sums of which each reads its own channel of `x`, which has as many.

    acc : (groups, ROWS, channels); weight : (runs, channels) int16, a run for each tap
    """
    for group in range(len(acc)):
        for row in range(ROWS):
            for run in range(len(offsets)):
                at = base[group, row] + offsets[run]
                for lane in range(acc.shape[2]):
                    a = acc[group, row, lane]
                    acc[group, row, lane] = _add_within(a, x[at + lane], weight[run, lane], low, high)


@_kernel
def channels_last(turned: Any, x: Any, top: Any, left: Any) -> None:
    """The codes `x`, (batch, channels, height, width) float32, behind `top` rows and `left` columns of `turned`.

    turned : (batch, rows, columns, at least the channels) int16
    """
    channels, height, width = x.shape[1:]
    for sample in range(len(x)):
        for row in range(height):
            there = turned[sample, row + top]
            for channel in range(channels):
                here = x[sample, channel, row]
                for column in range(width):
                    there[column + left, channel] = np.int16(here[column])


@_kernel
def outcome(acc: Any, ideal: Any, walked: Any, excess: Any, chosen: Any) -> None:
    """Where the sums of the chosen channels lie in torch's layout, and on which side of them those without overflow.

    acc : (batch, positions, …) int16; chosen : int64, the channel of each of the first lanes
    ideal, walked : (batch, channels, positions) float32, `ideal` perhaps float64
    excess : alike, int8: 1 where `ideal` is larger, −1 where it is smaller, 0 elsewhere
    """
    positions = ideal.shape[2]
    for sample in range(len(ideal)):
        for first in range(0, positions, TURNED):
            sums = acc[sample, first : min(first + TURNED, positions)]
            for lane in range(len(chosen)):
                there = walked[sample, chosen[lane], first : first + len(sums)]
                for position in range(len(sums)):
                    there[position] = np.float32(sums[position, lane])
        for lane in range(len(chosen)):
            exact, made, side = ideal[sample, chosen[lane]], walked[sample, chosen[lane]], excess[sample, chosen[lane]]
            for position in range(positions):
                side[position] = np.int8(exact[position] > made[position]) - np.int8(exact[position] < made[position])


@_kernel
def returning(gradient: Any, excess: Any, kept: Any) -> None:
    """`kept`, the gradient but for what would push sums further out: above the range (1) what is negative.

    gradient, kept : (rows, length) float32; excess : alike, int8, as `outcome` makes it
    """
    for row in range(len(gradient)):
        for i in range(gradient.shape[1]):
            value = gradient[row, i]
            kept[row, i] = np.float32(0) if value * np.float32(excess[row, i]) < 0 else value
