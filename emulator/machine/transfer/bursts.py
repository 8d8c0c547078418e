"""What LOAD and STORE have in common: the bursts of a transfer, and the overlaps of memory words and scratchpad rows.

The twins of `rtl/transfer/bursts.py` and `overlaps.py` beside it. All functions change a record of registers in place.
"""

from __future__ import annotations

from typing import Any

from ...bus import burst_beats
from ...instructions import ADDRESS_BITS
from ..compiled import compiled

FILL_CYCLES = 3
"""Cycles from the first pixel's address to its checks."""
ROW_MASK = (1 << ADDRESS_BITS) - 1
MEMORY_MASK = (1 << 32) - 1

_burst_beats = compiled(burst_beats)

NOTHING, ASKS, FAULT = range(3)
"""What a step of the burst walk does."""


@compiled
def start_pixels(pixels: Any, fields: Any) -> None:
    """The first pixel."""
    pixels.address = pixels.line_address = fields.memory_address
    pixels.row = fields.row
    pixels.pixels_left, pixels.lines_left = fields.pixels - 1, fields.lines - 1


@compiled
def next_pixel(pixels: Any, fields: Any) -> bool:
    """Go to the next pixel; false if there is none."""
    pixels.row = (pixels.row + fields.pixel_rows) & ROW_MASK
    if pixels.pixels_left > 0:
        pixels.pixels_left -= 1
        pixels.address = (pixels.address + fields.pixel_stride) & MEMORY_MASK
        return True
    if pixels.lines_left > 0:
        pixels.lines_left -= 1
        pixels.pixels_left = fields.pixels - 1
        pixels.address = pixels.line_address = (pixels.line_address + fields.line_stride) & MEMORY_MASK
        return True
    return False


@compiled
def start_bursts(walk: Any, fields: Any) -> None:
    """The walk's first cycle is the next one."""
    start_pixels(walk, fields)
    walk.walking, walk.fill, walk.more = 1, FILL_CYCLES, 0


@compiled
def stop_bursts(walk: Any) -> None:
    """Forget what has not been asked for."""
    walk.walking = walk.more = 0


@compiled
def step_bursts(walk: Any, fields: Any, bus_bytes: int, lanes: int, depth: int, memory_bytes: int) -> int:
    """A cycle in which no burst waits and one may be asked for; ASKS: `burst` and `beats` are the next burst's."""
    reach = _burst_beats(bus_bytes)
    if walk.more:
        walk.burst = (walk.burst // (reach * bus_bytes) + 1) * (reach * bus_bytes)
        walk.beats = min(walk.rest, reach)
    elif not walk.walking:
        return NOTHING
    elif walk.fill > 0:
        walk.fill -= 1
        return NOTHING
    else:
        end = walk.address + fields.pixel_bytes
        if end > memory_bytes or (depth - walk.row) * lanes < fields.pixel_bytes:
            stop_bursts(walk)
            return FAULT
        first = walk.address // bus_bytes
        walk.burst = first * bus_bytes
        walk.rest = (end - 1) // bus_bytes - first + 1
        walk.beats = min(walk.rest, reach - first % reach)
        walk.walking = 1 if next_pixel(walk, fields) else 0
    walk.rest -= walk.beats
    walk.more = 1 if walk.rest > 0 else 0
    return ASKS


@compiled
def _enter_row(overlap: Any, left: int, lanes: int) -> None:
    overlap.lane = 0
    overlap.row_left = min(left, lanes)
    overlap.rest = left - overlap.row_left


@compiled
def _enter_pixel(overlap: Any, fields: Any, bus_bytes: int, lanes: int) -> None:
    offset = overlap.address % bus_bytes
    overlap.place = overlap.row
    overlap.word, overlap.word_left = overlap.address - offset, bus_bytes - offset
    _enter_row(overlap, fields.pixel_bytes, lanes)


@compiled
def start_overlaps(overlap: Any, fields: Any, bus_bytes: int, lanes: int) -> None:
    """The first overlap."""
    start_pixels(overlap, fields)
    _enter_pixel(overlap, fields, bus_bytes, lanes)


@compiled
def word_ends(overlap: Any) -> bool:
    """Whether the overlap is its memory word's last one."""
    return bool(overlap.word_left <= overlap.row_left or overlap.rest == 0)


@compiled
def row_ends(overlap: Any) -> bool:
    """Whether the overlap is its row's last one."""
    return bool(overlap.row_left <= overlap.word_left)


@compiled
def burst_ends(overlap: Any, bus_bytes: int) -> bool:
    """Whether the overlap is its burst's last one."""
    reach = _burst_beats(bus_bytes) * bus_bytes
    if not word_ends(overlap):
        return False
    return bool((row_ends(overlap) and overlap.rest == 0) or (overlap.word + bus_bytes) % reach == 0)


@compiled
def next_overlap(overlap: Any, fields: Any, bus_bytes: int, lanes: int) -> bool:
    """Go to the next overlap; false if there is none."""
    size = min(overlap.word_left, overlap.row_left)
    if overlap.row_left == size and overlap.rest == 0:
        if not next_pixel(overlap, fields):
            return False
        _enter_pixel(overlap, fields, bus_bytes, lanes)
        return True
    if overlap.word_left == size:
        overlap.word, overlap.word_left = overlap.word + bus_bytes, bus_bytes
    else:
        overlap.word_left -= size
    if overlap.row_left == size:
        overlap.place = (overlap.place + 1) & ROW_MASK
        _enter_row(overlap, overlap.rest, lanes)
    else:
        overlap.lane += size
        overlap.row_left -= size
    return True
