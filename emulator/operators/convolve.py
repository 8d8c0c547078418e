"""2-D convolution: the walk over (kernel row, kernel column, input channel), channel fastest (contract, section 2)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arithmetic import Arithmetic
from .accumulate import accumulate_into
from .convolution_operands import ConvolutionOperands, check_convolution
from .depthwise import Depthwise

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
    operands = check_convolution(
        x, weight, bias, arithmetic, x_zero_point, strides, padding, dilations, groups, w_zero_point
    )
    return convolution_sums(operands, arithmetic, compiled)


def convolution_sums(
    operands: ConvolutionOperands, arithmetic: Arithmetic, compiled: bool = True
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """`convolve` without checks."""
    acc = np.empty((math.prod(operands.shape[:3]), operands.shape[3]), np.int64)
    overflowed = np.zeros(acc.shape, np.bool_)
    if operands.depthwise:
        Depthwise(operands, arithmetic).sums_into(acc, overflowed, compiled)
    else:
        _accumulate_groups(operands, arithmetic, acc, overflowed, compiled)
    return acc.reshape(operands.shape), overflowed.reshape(operands.shape)


def _accumulate_groups(
    operands: ConvolutionOperands,
    arithmetic: Arithmetic,
    acc: NDArray[np.int64],
    overflowed: NDArray[np.bool_],
    compiled: bool,
) -> None:
    """The sums as matrix products of gathered codes, group by group; acc and overflowed are (positions, O)."""
    x, windows, groups, zero = operands.x, operands.windows, operands.groups, operands.zero
    outputs, _, _, depth = operands.weight.shape
    matrix = np.ascontiguousarray(operands.weight.reshape(outputs, -1).T)
    per_group = outputs // groups
    view = windows.view(x, zero)  # (B, OH, OW, kernel height, kernel width, C)
    for rows, positions in windows.blocks(len(x), matrix.shape[0] * groups, BLOCK_BYTES):
        block = view[positions]
        for group in range(groups):
            channels = slice(group * depth, (group + 1) * depth)
            columns = slice(group * per_group, (group + 1) * per_group)
            patches = block[..., channels].reshape(-1, matrix.shape[0])
            accumulate_into(
                patches,
                matrix[:, columns],
                operands.bias[columns],
                zero,
                operands.w_zero[columns],
                arithmetic,
                acc[rows, columns],
                overflowed[rows, columns],
                compiled,
            )
