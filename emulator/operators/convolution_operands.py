"""The operands of a 2-D convolution, checked at the door."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arithmetic import Arithmetic
from ..checks import check_arithmetic, check_codes, check_int
from .accumulate import check_bias, check_weight_zero_point
from .shared.windows import Windows


@dataclass(frozen=True, eq=False)
class ConvolutionOperands:
    """A convolution's operands, checked.

    x : (B, H, W, C) int8; weight : (O, kernel height, kernel width, C / groups) int8
    bias : (O,) int64; zero : x's zero point; w_zero : (O,) int16
    """

    x: NDArray[np.int8]
    weight: NDArray[np.int8]
    bias: NDArray[np.int64]
    zero: int
    w_zero: NDArray[np.int16]
    windows: Windows
    groups: int

    @property
    def depthwise(self) -> bool:
        """Whether each group has one input channel, and there are several."""
        return self.groups > 1 and self.weight.shape[3] == 1

    @property
    def shape(self) -> tuple[int, ...]:
        """(B, OH, OW, O) of the sums."""
        return (self.x.shape[0], *self.windows.output, self.weight.shape[0])


def check_convolution(
    x: NDArray[np.int8],
    weight: NDArray[np.int8],
    bias: ArrayLike,
    arithmetic: Arithmetic,
    x_zero_point: int,
    strides: Sequence[int],
    padding: Sequence[int],
    dilations: Sequence[int],
    groups: int,
    w_zero_point: ArrayLike,
) -> ConvolutionOperands:
    """The arguments of `convolve`; raises as it does."""
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
    return ConvolutionOperands(x, weight, start, zero, w_zero, windows, group_count)
