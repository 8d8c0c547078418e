"""Registers of the walk over output positions and weight tiles."""

from __future__ import annotations

from .records import record

WINDOW = record(
    "output_height", "output_width", "kernel_height", "kernel_width", "input_height", "input_width",
    "stride_height", "stride_width", "dilation_height", "dilation_width", "pad_top", "pad_left",
    "channel_rows", "pixel_rows", "base",
    # Counters: output position; kernel position and channel row.
    "output_y", "output_x", "kernel_y", "kernel_x", "channel",
    # Where `again` goes back to.
    "kept_y", "kept_x",
)  # fmt: skip
"""A walk over positions and tiles; addresses are taken modulo 2^ADDRESS_BITS."""
