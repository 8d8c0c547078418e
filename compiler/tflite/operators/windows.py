"""Options of operators with windows: strides, dilations and padding."""

from __future__ import annotations

from emulator.graph import Tensor, map_size

from ...reading.windows import MAX_SIZE, WindowGeometry, extent, same_padding, window_geometry
from ..operator import PADDINGS, Operator


def pair(op: Operator, table: str, vertical: str, horizontal: str) -> tuple[int, int]:
    """Two options that must be at least 1."""
    found = op.integer(table, vertical), op.integer(table, horizontal)
    if not all(1 <= size <= MAX_SIZE for size in found):
        raise ValueError(f"options {vertical} and {horizontal} must be from 1 to {MAX_SIZE}, not {found}")
    return found


def geometry(
    op: Operator, table: str, x: Tensor, kernel: tuple[int, int], dilations: tuple[int, int] = (1, 1)
) -> WindowGeometry:
    """The window over a map; SAME padding puts an odd row below and an odd column to the right."""
    strides = pair(op, table, "StrideH", "StrideW")
    size = map_size(x)
    extents = extent(kernel[0], dilations[0]), extent(kernel[1], dilations[1])
    same = op.choice(table, "Padding", PADDINGS) == "SAME"
    padding = same_padding(size, strides, extents) if same else (0, 0, 0, 0)
    return window_geometry(size, kernel, strides, padding, dilations)
