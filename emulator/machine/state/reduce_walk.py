"""Registers of the walk over the windows of a REDUCE."""

from __future__ import annotations

from .records import record

WALK = record(
    "window_pixels",  # left, this one included
    "window_lines",
    "pixels",
    "lines",
    "y",
    "x",
    "address",
    "window_y",  # where the window, the window's line and the output line under way begin
    "window_x",
    "window_address",
    "window_line_address",
    "line_address",
    "window_pixel_rows",  # rows from each to the next
    "window_line_rows",
    "pixel_rows",
    "line_rows",
    "first",
    "sums",
    "output",
)
CANDIDATE = record("first", "result", "last", "valid", "operand", "sums", "illegal")
