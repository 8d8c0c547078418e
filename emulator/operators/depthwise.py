"""The walk of a depthwise convolution: all channels side by side, tap after tap (contract, section 2)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arithmetic import Arithmetic
from .convolution_operands import ConvolutionOperands
from .products.exact_product import largest_code
from .products.walk import step_into
from .shared.optional_library import NUMBA
from .shared.threads import in_parallel

INT32 = np.iinfo(np.int32)
LARGEST_PRODUCT = 255 * 255
BLOCK_SUMS = 1 << 16  # at a time, which stay in a processor's cache


class Depthwise:
    """The sums of a convolution with one input channel in each group, block by block of its output positions."""

    def __init__(self, operands: ConvolutionOperands, arithmetic: Arithmetic) -> None:
        x, weight = operands.x, operands.weight
        copies = weight.shape[0] // x.shape[3]  # group g has the output channels from g · copies on
        self.positions, self.channels = math.prod(operands.shape[:3]), weight.shape[0]
        self.maps = np.ascontiguousarray(np.repeat(x, copies, axis=3) if copies > 1 else x)
        self.weight = np.ascontiguousarray(weight[..., 0].transpose(1, 2, 0) - operands.w_zero)
        self.bias, self.zero, self.windows = operands.bias, operands.zero, operands.windows
        self.arithmetic = arithmetic

    def sums_into(self, acc: NDArray[np.int64], overflowed: NDArray[np.bool_], compiled: bool) -> None:
        """The sums of all positions in their order, acc (positions, O) int64, and overflowed (positions, O) bool."""
        if not (compiled and NUMBA.pays(acc.size)):
            self._walk_numpy(acc, overflowed)
            return
        block = self.block()

        def walk(rows: slice) -> None:
            acc[rows], flag = block(rows)
            overflowed[rows] = flag != 0

        in_parallel(walk, self.blocks())

    def blocks(self) -> list[slice]:
        """Positions in blocks that fit a processor's cache."""
        each = max(1, BLOCK_SUMS // max(1, self.channels))
        return [slice(row, min(self.positions, row + each)) for row in range(0, self.positions, each)]

    def block(self) -> Any:
        """A function of a slice of positions → (sums, flags), (positions, O) of the kernel's type, by Numba."""
        from .products import depthwise_kernels

        windows, arithmetic = self.windows, self.arithmetic
        kernel = depthwise_kernels.wrap if arithmetic.overflow == "wrap" else depthwise_kernels.saturate
        # Every step fits int32 where the sum before it has 31 bits, or where even all magnitudes together do: then the
        # limits of a wider accumulator are never reached.
        magnitudes = largest_code(self.bias) + self.weight[..., 0].size * LARGEST_PRODUCT
        dtype = np.int32 if arithmetic.accumulator_bits <= 31 or magnitudes <= INT32.max else np.int64
        ends = np.iinfo(dtype)
        limits = [dtype(min(max(limit, ends.min), ends.max)) for limit in arithmetic.accumulator_range]
        window = (*windows.output, *windows.strides, *windows.dilations)
        maps = windows.pad(self.maps, self.zero)

        def sums(rows: slice) -> tuple[NDArray[Any], NDArray[Any]]:
            acc = np.empty((rows.stop - rows.start, self.channels), dtype)
            flag = np.empty_like(acc)
            kernel(maps, np.int16(self.zero), self.weight, self.bias, window, rows.start, acc, flag, *limits)
            return acc, flag

        return sums

    def _walk_numpy(self, acc: NDArray[np.int64], overflowed: NDArray[np.bool_]) -> None:
        view = self.windows.view(self.maps, self.zero)
        shape = (*view.shape[:3], self.channels)
        sums, flags = acc.reshape(shape), overflowed.reshape(shape)
        sums[...] = self.bias
        for i in range(self.weight.shape[0]):
            for j in range(self.weight.shape[1]):
                codes, weights = view[:, :, :, i, j].astype(np.int64), self.weight[i, j].astype(np.int64)
                step_into(sums + (codes - self.zero) * weights, sums, flags, self.arithmetic)
