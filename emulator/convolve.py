"""2-D convolution: the walk over (kernel row, kernel column, input channel), channel fastest (contract, section 2)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .accumulate import accumulate_into, check_bias, check_weight_zero_point
from .arithmetic import Arithmetic
from .checks import check_arithmetic, check_codes, check_int
from .windows import Windows

BLOCK_BYTES = 16 << 20  # of gathered codes at a time


def convolve(
    x: NDArray[np.int8],
    weight: NDArray[np.int8],
    bias: ArrayLike,
    arithmetic: Arithmetic,
    x_zero_point: int = 0,
    strides: Sequence[int] = (1, 1),
    padding: Sequence[int] = (0, 0, 0, 0),
    dilations: Sequence[int] = (1, 1),
    groups: int = 1,
    w_zero_point: ArrayLike = 0,
    *,
    compiled: bool = True,
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """A convolution's sums, each `accumulate`d in the order (kernel row, kernel column, input channel).

    x : (B, H, W, C) int8 codes; weight : (O, kernel height, kernel width, C / groups) int8 codes
    bias : (O,) integers of min(P, 32) bits; x_zero_point : the code of 0, which padding positions hold
    w_zero_point : a code of weight_bits, or (O,) of them, one per output channel
    strides, dilations : (vertical, horizontal); padding : (top, left, bottom, right)
    compiled : use Numba where it is installed; the NumPy route gives the same bits

    Returns (B, OH, OW, O) int64 and bool as `accumulate` does;
    OH = (H + top + bottom − dilation·(kernel height − 1) − 1) // stride + 1. Raises ``TypeError`` or ``ValueError``
    naming the argument.
    """
    check_arithmetic(arithmetic)
    check_codes("x", x, 4, *arithmetic.activation_range)
    check_codes("weight", weight, 4, *arithmetic.weight_range)
    group_count = check_int("groups", groups, 1, max(1, x.shape[3]))
    outputs, height, width, depth = weight.shape
    if x.shape[3] != depth * group_count:
        raise ValueError(
            f"weight must have {x.shape[3]} / {groups} input channels (x's over groups), not shape {weight.shape}"
        )
    if outputs % group_count:
        raise ValueError(f"groups must divide weight's {outputs} output channels, not {groups}")
    start = check_bias(bias, outputs, arithmetic)
    zero = check_int("x_zero_point", x_zero_point, *arithmetic.activation_range)
    w_zero = check_weight_zero_point(w_zero_point, outputs, arithmetic)
    windows = Windows(x.shape[1:3], (height, width), strides, padding, dilations)

    batch = x.shape[0]
    matrix = np.ascontiguousarray(weight.reshape(outputs, -1).T)
    acc = np.empty((batch * windows.count, outputs), np.int64)
    overflowed = np.zeros(acc.shape, np.bool_)
    per_group = outputs // group_count
    view = windows.view(x, zero)  # (B, OH, OW, kernel height, kernel width, C)
    for rows, positions in windows.blocks(batch, matrix.shape[0] * group_count, BLOCK_BYTES):
        block = view[positions]
        for group in range(group_count):
            channels = slice(group * depth, (group + 1) * depth)
            columns = slice(group * per_group, (group + 1) * per_group)
            patches = block[..., channels].reshape(-1, matrix.shape[0])
            accumulate_into(
                patches,
                matrix[:, columns],
                start[columns],
                zero,
                w_zero[columns],
                arithmetic,
                acc[rows, columns],
                overflowed[rows, columns],
                compiled,
            )
    shape = (batch, *windows.output, outputs)
    return acc.reshape(shape), overflowed.reshape(shape)
