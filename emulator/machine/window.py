"""Window: input pixels and scratchpad rows under a convolution's or a pool's window."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..instructions import ADDRESS_BITS, Instruction

Indices = NDArray[np.int64]


class Window:
    """Row address of input pixel (o·stride + k·dilation − pad) for output position o and kernel position k."""

    def __init__(self, instruction: Instruction, pixel_rows: int):
        self.instruction, self.pixel_rows = instruction, pixel_rows
        self.positions = instruction["output_height"] * instruction["output_width"]
        self.kernel = instruction["kernel_height"] * instruction["kernel_width"]

    def rows(self, position: Indices, kernel: Indices) -> tuple[Indices, NDArray[np.bool_]]:
        """(scratchpad row modulo 2^ADDRESS_BITS, inside the input) for broadcast position and kernel indices."""
        i = self.instruction
        out_y, out_x = np.divmod(position, i["output_width"])
        kernel_y, kernel_x = np.divmod(kernel, i["kernel_width"])
        y = out_y * i["stride_height"] + kernel_y * i["dilation_height"] - i["pad_top"]
        x = out_x * i["stride_width"] + kernel_x * i["dilation_width"] - i["pad_left"]
        inside = (y >= 0) & (y < i["input_height"]) & (x >= 0) & (x < i["input_width"])
        row = i["input_row"] + (y * i["input_width"] + x) * self.pixel_rows
        return row & ((1 << ADDRESS_BITS) - 1), inside
