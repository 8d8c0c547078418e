"""A convolution's input that lies in the activation scratchpad as a whole, loaded piece by piece, each byte once."""

from __future__ import annotations

from itertools import pairwise

from .cut.convolution_cut import ConvolutionCut
from .cut.tiling import Span, Tile
from .emitter import Emitter
from .schedule.operation import Buffer, Memory

PIECES_MOST = 8
"""Pieces of channels that are loaded one after the other."""


class ResidentInput:
    """Its buffers, and which pieces of the map are not loaded yet: (lines or pixels of the only line, channel rows).

    Those channels that the layer before stores first come first, over the whole map; the last ones come along the map,
    as far as each tile of the layer needs it.
    """

    def __init__(self, emitter: Emitter, cut: ConvolutionCut):
        self.emitter, self.cut = emitter, cut
        self.lines, self.pixels = cut.inputs
        self.flat = len(self.lines) == 1
        self.whole = self.pixels if self.flat else self.lines
        positions = len(self.lines) * len(self.pixels)
        self.buffers = {part: Buffer(Memory.ACTIVATION, positions * len(part)) for part in cut.parts}
        self.unloaded = self.pieces()

    def along(self, tile: Tile, kernel_rows: Span, kernel_columns: Span) -> Span:
        """Lines, or pixels of the only line, that a piece of the kernel meets under a tile."""
        vertical, horizontal = self.cut.axes
        if self.flat:
            return horizontal.inputs(tile.columns, kernel_columns)
        return vertical.inputs(tile.rows, kernel_rows)

    def pieces(self) -> list[tuple[Span, Span]]:
        """What is loaded, in order."""
        cut = self.cut
        *early, late = _fewer(cut.stored)
        found = [(self.whole, channels) for channels in early]
        edges = {self.whole.last}
        for tile, group in cut.jobs:
            for piece in cut.pieces_of(tile, group.first):
                edges.add(self.along(tile, piece.kernel_rows, piece.kernel_columns).last)
        first = self.whole.first
        for last in sorted(edges):
            span = Span(first, last)
            if not early and first == self.whole.first and cut.split:
                found += [(span, channels) for channels in cut.split]
            else:
                found.append((span, late))
            first = last
        return [(span, part) for span, channels in found for part in _in_parts(channels, cut.parts)]

    def need(self, along: Span, channels: Span) -> None:
        """Load what is missing of these lines or pixels, and what comes before it."""
        while any(_meet(each[0], along) and _meet(each[1], channels) for each in self.unloaded):
            self.load(*self.unloaded.pop(0))

    def load(self, along: Span, channels: Span) -> None:
        """Load a piece."""
        cut, lanes = self.cut, self.cut.config.rows
        lines, pixels = (self.lines, along) if self.flat else (along, self.pixels)
        codes = Span(channels.first * lanes, min(channels.last * lanes, cut.source.depth))
        part = self.part(channels)
        offset = self.place(lines.first, pixels.first, part) + channels.first - part.first
        self.emitter.load(self.buffers[part], cut.source.transfer(lines, pixels, codes), offset, len(part))

    def part(self, channels: Span) -> Span:
        """The channel rows that lie in one buffer with these."""
        return next(part for part in self.cut.parts if part.first <= channels.first and channels.last <= part.last)

    def place(self, line: int, pixel: int, part: Span) -> int:
        """The row of a pixel's first channels in the buffer of a part."""
        line, pixel = line - self.lines.first, pixel - self.pixels.first
        return (line * len(self.pixels) + pixel) * len(part)


def _in_parts(channels: Span, parts: list[Span]) -> list[Span]:
    """Channel rows, cut where parts end."""
    ends = [part.last for part in parts if channels.first < part.last < channels.last]
    return [Span(first, last) for first, last in pairwise([channels.first, *ends, channels.last])]


def _meet(one: Span, other: Span) -> bool:
    return one.first < other.last and other.first < one.last


def _fewer(found: list[Span]) -> list[Span]:
    """At most PIECES_MOST pieces: the first ones together."""
    merged = len(found) - PIECES_MOST
    return found if merged <= 0 else [Span(0, found[merged].last), *found[merged + 1 :]]
