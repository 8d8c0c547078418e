"""Tiling: cuts a layer into pieces that fit the scratchpads, without touching the order of accumulation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from emulator.instructions import Opcode, largest

MAP_MOST = largest(Opcode.CONVOLVE, "output_height")
"""Lines or pixels of a line that an instruction's window spans at most, in its input and in its output."""
KERNEL_MOST = largest(Opcode.CONVOLVE, "kernel_height")
"""Lines or pixels of a line of a kernel that one instruction walks at most."""


@dataclass(frozen=True)
class Span:
    """Indices first … last − 1 along one axis."""

    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first


@dataclass(frozen=True)
class Tile:
    """A rectangle of output positions."""

    rows: Span
    columns: Span

    @property
    def positions(self) -> int:
        """Output positions."""
        return len(self.rows) * len(self.columns)


@dataclass(frozen=True)
class Segment:
    """Consecutive weight tiles: a piece of K in the contract's order (kernel row, kernel column, channel)."""

    kernel_rows: Span
    kernel_columns: Span
    channels: Span
    first_tile: int

    @property
    def tiles(self) -> int:
        """Weight tiles."""
        return len(self.kernel_rows) * len(self.kernel_columns) * len(self.channels)


@dataclass(frozen=True)
class Axis:
    """One spatial axis of a window: input size, kernel, stride, dilation, padding before the first input."""

    size: int
    kernel: int
    stride: int
    dilation: int
    padding: int

    def inputs(self, outputs: Span, kernel: Span) -> Span:
        """Inputs under a piece of the kernel for these outputs, cut to what exists; at least one."""
        first = outputs.first * self.stride + kernel.first * self.dilation - self.padding
        last = (outputs.last - 1) * self.stride + (kernel.last - 1) * self.dilation - self.padding + 1
        first = min(max(first, 0), self.size - 1)
        return Span(first, max(min(last, self.size), first + 1))

    def pad(self, outputs: Span, kernel: Span, inputs: Span) -> int:
        """Padding as the window sees it that starts at these outputs, this kernel piece and these inputs."""
        return self.padding + inputs.first - outputs.first * self.stride - kernel.first * self.dilation


def spans(total: int, step: int, offset: int = 0) -> Iterator[Span]:
    """`total` indices from `offset` on, in pieces of at most `step`."""
    for first in range(0, total, step):
        yield Span(offset + first, offset + min(first + step, total))


def even_spans(total: int, most: int, offset: int = 0, unit: int = 1) -> Iterator[Span]:
    """`total` indices from `offset` on, in as few pieces of at most `most` as there can be, all of about one size.

    unit : what all but the last should be a multiple of, where `most` allows it
    """
    if most >= unit > 1:
        most = most // unit * unit
        size = -(-total // -(-total // most))
        yield from spans(total, -(-size // unit) * unit, offset)
        return
    count = -(-total // most)
    for index in range(count):
        yield Span(offset + index * total // count, offset + (index + 1) * total // count)


def tapered_spans(total: int, most: int, end: int, offset: int = 0, unit: int = 1) -> Iterator[Span]:
    """As `even_spans`, but if it takes several pieces, those at both ends are small: `end`, then three times as much.

    A piece's input is loaded while the one before is computed, and its output is stored while the next one is.
    """
    end = -(-end // unit) * unit
    ends = [size for size in (end, 3 * end) if 2 * size < most]
    if total <= most or 2 * sum(ends) + most > total:
        yield from even_spans(total, most, offset, unit)
        return
    for size in ends:
        yield Span(offset, offset + size)
        offset += size
    middle = total - 2 * sum(ends)
    yield from even_spans(middle, most, offset, unit)
    offset += middle
    for size in reversed(ends):
        yield Span(offset, offset + size)
        offset += size


def tiles(
    rows: Span, columns: Span, fits: Callable[[Tile], bool], end: int = 1 << 30, unit: int = 1
) -> list[Tile] | None:
    """Cut rows × columns into few tiles that fit: whole lines if a line fits, else pieces of one line.

    fits : of a tile's size, not its place
    end : positions that the first and the last tile should have, where there are several
    unit : what the length of a piece of a line should be a multiple of

    Returns None if a single position does not fit.
    """
    height = _largest(len(rows), lambda n: fits(Tile(Span(rows.first, rows.first + n), columns)))
    width = len(columns)
    if not height:
        height = 1
        top = Span(rows.first, rows.first + 1)
        width = _largest(width, lambda n: fits(Tile(top, Span(columns.first, columns.first + n))))
        if not width:
            return None
    if len(rows) == 1:
        return [Tile(rows, column) for column in tapered_spans(len(columns), width, end, columns.first, unit)]
    lines = tapered_spans(len(rows), height, -(-end // len(columns)), rows.first)
    return [Tile(row, column) for row in lines for column in even_spans(len(columns), width, columns.first, unit)]


def in_range(tile: Tile, input_height: int, input_width: int) -> bool:
    """Whether one instruction's window can span the tile and the input under it."""
    return max(len(tile.rows), len(tile.columns), input_height, input_width) <= MAP_MOST


def _largest(most: int, fits: Callable[[int], bool]) -> int:
    """The largest n ≤ most that fits, by bisection; 0 if none."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def segments(
    kernel: tuple[int, int], channel_rows: int, weight_tiles: int, channels_at_once: int | None
) -> list[Segment]:
    """Cut K so that each piece's weights fit.

    weight_tiles : what the weight scratchpad holds
    channels_at_once : if the input of one position does not fit, the channel rows of one pixel that do
    """
    height, width = kernel
    columns, channels = Span(0, width), Span(0, channel_rows)
    if channels_at_once is None:
        line = width * channel_rows
        if line <= weight_tiles and width <= KERNEL_MOST:
            most = min(weight_tiles // line, KERNEL_MOST)
            return [Segment(r, columns, channels, r.first * line) for r in spans(height, most)]
        if channel_rows <= weight_tiles:
            return [
                Segment(Span(y, y + 1), c, channels, y * line + c.first * channel_rows)
                for y in range(height)
                for c in spans(width, min(weight_tiles // channel_rows, KERNEL_MOST))
            ]
    most = min(weight_tiles, channels_at_once or weight_tiles)
    return [
        Segment(Span(y, y + 1), Span(x, x + 1), c, (y * width + x) * channel_rows + c.first)
        for y in range(height)
        for x in range(width)
        for c in spans(channel_rows, most)
    ]


def cut_kernel_rows(piece: Segment, row: int) -> list[Segment]:
    """A piece of K in what comes before a kernel row and what begins with it."""
    rows = piece.kernel_rows
    if not rows.first < row < rows.last:
        return [piece]
    line = piece.tiles // len(rows)
    return [
        replace(piece, kernel_rows=Span(rows.first, row)),
        replace(piece, kernel_rows=Span(row, rows.last), first_tile=piece.first_tile + (row - rows.first) * line),
    ]


def cut_channels(piece: Segment, edges: Sequence[int]) -> list[Segment]:
    """A piece of K of one kernel position, cut at those of its channel rows; others as they are."""
    channels = piece.channels
    if piece.tiles > len(channels):
        return [piece]
    ends = [channels.first, *(edge for edge in edges if channels.first < edge < channels.last), channels.last]
    return [
        replace(piece, channels=Span(first, last), first_tile=piece.first_tile + first - channels.first)
        for first, last in pairwise(ends)
    ]
