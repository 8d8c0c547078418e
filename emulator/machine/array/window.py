"""Window: input pixels and scratchpad rows under a convolution's window, position by position and tile by tile."""

from __future__ import annotations

from typing import Any

from ...instructions import ADDRESS_BITS
from ..compiled import compiled

MASK = (1 << ADDRESS_BITS) - 1


@compiled
def begin(w: Any, f: Any) -> None:
    """Both counters at their first values, with the fields `f` of a CONVOLVE."""
    w.output_height, w.output_width = f.output_height, f.output_width
    w.kernel_height, w.kernel_width = f.kernel_height, f.kernel_width
    w.input_height, w.input_width = f.input_height, f.input_width
    w.stride_height, w.stride_width = f.stride_height, f.stride_width
    w.dilation_height, w.dilation_width = f.dilation_height, f.dilation_width
    w.pad_top, w.pad_left = f.pad_top, f.pad_left
    w.channel_rows, w.pixel_rows, w.base = f.channel_rows, f.pixel_rows, f.input_row
    w.output_y, w.output_x, w.kernel_y, w.kernel_x, w.channel, w.kept_y, w.kept_x = 0, 0, 0, 0, 0, 0, 0


@compiled
def last_position(w: Any) -> bool:
    """Whether the position counter is at its last value."""
    return w.output_x == w.output_width - 1 and w.output_y == w.output_height - 1  # type: ignore[no-any-return]


@compiled
def last_kernel(w: Any) -> bool:
    """Whether the tile counter is at its last value."""
    return (  # type: ignore[no-any-return]
        w.channel == w.channel_rows - 1 and w.kernel_x == w.kernel_width - 1 and w.kernel_y == w.kernel_height - 1
    )


@compiled
def next_position(w: Any) -> None:
    """The position counter's step; after its last value it begins again."""
    w.output_x += 1
    if w.output_x == w.output_width:
        w.output_x = 0
        w.output_y += 1
        if w.output_y == w.output_height:
            w.output_y = 0


@compiled
def next_kernel(w: Any) -> None:
    """The tile counter's step; after its last value it begins again."""
    w.channel += 1
    if w.channel == w.channel_rows:
        w.channel = 0
        w.kernel_x += 1
        if w.kernel_x == w.kernel_width:
            w.kernel_x = 0
            w.kernel_y += 1
            if w.kernel_y == w.kernel_height:
                w.kernel_y = 0


@compiled
def locate(w: Any) -> tuple[bool, int]:
    """(inside the input, scratchpad row) of the pixel under the counters."""
    y = w.output_y * w.stride_height + w.kernel_y * w.dilation_height - w.pad_top
    x = w.output_x * w.stride_width + w.kernel_x * w.dilation_width - w.pad_left
    row = w.base + (y * w.input_width + x) * w.pixel_rows + w.channel
    return y >= 0 and y < w.input_height and x >= 0 and x < w.input_width, row & MASK
