"""How a depthwise convolution is cut for the lanes: pieces of the kernel, tiles of positions, groups of blocks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from emulator.config import AcceleratorConfig
from emulator.depthwise_segments import depthwise_segments
from emulator.graph import Codes, Convolution, Graph, LookupTable, map_size
from emulator.instructions import COUNTER_ROWS, DEPTHWISE_SUMS, DEPTHWISE_WORDS

from ..schedule.durations import COUNTERS_CYCLES, LANES_CYCLES, LANES_TRIP, line_cycles, transfer_cycles
from .column_blocks import weight_zero_points
from .maps import Map
from .output_room import output_room
from .tiling import KERNEL_MOST, Axis, Span, Tile, even_spans, in_range, spans

LANES_SHARE = 1.1
"""Cycles of lanes that take a tap a cycle, over those of dense blocks: beyond, the array is the better place."""
GROUP_MOST = 16
"""Blocks of channels that are loaded and stored together."""


@dataclass(frozen=True)
class Piece:
    """Rows and columns of the kernel that one instruction walks, and its words among those of a block."""

    rows: Span
    columns: Span
    first_word: int
    words: int


class DepthwiseCut:
    """The pieces of one depthwise convolution of the map `source` into `target`.

    axes : geometry, vertical and horizontal
    blocks : of channels, one a lane
    pieces : of the kernel, in the contract's order; several keep their sums from one to the next
    tiles, group : of output positions; blocks that are loaded and stored together
    cycles : about how long the layer takes
    words : of a block's weights
    phases : lines of the source that are one line of the map in memory, read from its first, second, … pixel on
    """

    def __init__(self, config: AcceleratorConfig, node: Convolution, source: Map, target: Map, phases: int = 1) -> None:
        self.config, self.node, self.source, self.target, self.phases = config, node, source, target, phases
        height, width = node.weight.shape[1:3]
        self.axes = (
            Axis(source.height, height, node.strides[0], node.dilations[0], node.padding[0]),
            Axis(source.width, width, node.strides[1], node.dilations[1], node.padding[1]),
        )
        self.blocks = list(spans(target.depth, config.columns))
        self.pieces = list(self._cut_kernel(height, width))
        self.words = sum(piece.words for piece in self.pieces)
        self.tiles, self.group, self.cycles = self._cut_positions()

    def _words(self, rows: int, columns: int) -> int:
        return len(depthwise_segments(rows, columns, self.node.dilations[1], self.config.depthwise_taps))

    def _cut_kernel(self, height: int, width: int) -> Iterator[Piece]:
        """Few pieces whose weights fit half of the words, and whose input under one position the scratchpad."""

        def fits(rows: int, columns: int) -> bool:
            inputs = [
                min((count - 1) * axis.dilation + 1, axis.size)
                for count, axis in zip((rows, columns), self.axes, strict=True)
            ]
            return (
                max(rows, columns) <= KERNEL_MOST
                and self._words(rows, columns) <= DEPTHWISE_WORDS // 2
                and inputs[0] * inputs[1] <= self.config.operand_depth
                and in_range(Tile(Span(0, 1), Span(0, 1)), *inputs)
            )

        lines = max((n for n in range(1, height + 1) if fits(n, width)), default=0)
        if 3 <= lines < height:
            lines -= lines % 3  # a segment has up to three lines
        pixels = width if lines else max(n for n in range(1, width + 1) if fits(1, n))
        word = 0
        for rows in spans(height, max(lines, 1)):
            for columns in spans(width, pixels):
                piece = Piece(rows, columns, word, self._words(len(rows), len(columns)))
                word += piece.words
                yield piece

    def _cut_positions(self) -> tuple[list[Tile], int, int]:
        """Tiles and group of the least estimated cycles, and these; several pieces of the kernel share few sums."""
        best: tuple[int, int, int, int] | None = None
        for share in (2, 1):
            for lines in _sizes(self.target.height):
                for pixels in _sizes(self.target.width):
                    for group in _sizes(len(self.blocks)):
                        if group <= GROUP_MOST and self._fits(lines, pixels, group, share):
                            found = self._cycles(lines, pixels, group), lines, pixels, group
                            best = min(best or found, found)
            if best is not None:
                break
        assert best is not None
        cycles, lines, pixels, group = best
        rows = list(even_spans(self.target.height, lines))
        tiles = [Tile(row, column) for row in rows for column in even_spans(self.target.width, pixels)]
        return tiles, group, cycles

    def _inputs(self, lines: int, pixels: int, piece: Piece) -> tuple[int, int]:
        """Lines and pixels under a tile of that size, at most."""
        sizes = [
            min((outputs - 1) * axis.stride + (len(kernel) - 1) * axis.dilation + 1, axis.size)
            for outputs, kernel, axis in zip((lines, pixels), (piece.rows, piece.columns), self.axes, strict=True)
        ]
        return sizes[0], sizes[1]

    def _fits(self, lines: int, pixels: int, group: int, share: int) -> bool:
        """Whether a tile fits one of so many shares of each memory."""
        config, positions = self.config, lines * pixels
        if group > 1 and (self.source.block or self.target.block):
            return False
        if len(self.pieces) > 1 and (positions > DEPTHWISE_SUMS or group > 1):
            return False
        room = output_room(config, group > 1) if share > 1 else config.output_depth - COUNTER_ROWS * config.counters
        inputs = [self._inputs(lines, pixels, piece) for piece in self.pieces]
        tile = Tile(Span(0, lines), Span(0, pixels))
        return positions * group <= room and all(
            height * width * group <= config.operand_depth // share and in_range(tile, height, width)
            for height, width in inputs
        )

    def _cycles(self, lines: int, pixels: int, group: int) -> int:
        """About what the layer takes in such tiles: of loads, lanes and stores those that take longest."""
        size = min(group * self.config.columns, self.target.depth)
        loads = sum(self._transfer(self.source, *self._inputs(lines, pixels, piece), size) for piece in self.pieces)
        stores = self._transfer(self.target, lines, pixels, size)
        walk = group * len(self.pieces) * (LANES_CYCLES + LANES_TRIP)
        if self.config.counters:
            walk += group * (COUNTERS_CYCLES + COUNTER_ROWS)
        for piece in self.pieces:
            walk += group * lines * self._line(pixels, piece)
        tiles = -(-self.target.height // lines) * -(-self.target.width // pixels)
        # Neighbouring layers wait for the first tile and for the last one; other tiles hide a part of that.
        return tiles * -(-len(self.blocks) // group) * max(loads, stores, walk) + (loads + stores + walk) // 2

    def _line(self, pixels: int, piece: Piece) -> int:
        """Cycles of an output line of so many pixels."""
        dilation, stride = self.axes[1].dilation, self.axes[1].stride
        return line_cycles(pixels, (len(piece.rows), len(piece.columns)), dilation, stride, self.config.depthwise_taps)

    def _transfer(self, there: Map, lines: int, pixels: int, size: int) -> int:
        """About what a LOAD or a STORE of so many bytes of these pixels takes."""
        if there.pixel_stride == size:
            pixels, size = 1, pixels * size
        return transfer_cycles(lines * pixels, size, self.config.bus_bytes)


def runs_in_lanes(node: Convolution, config: AcceleratorConfig) -> bool:
    """Whether the lanes of post-processing compute a convolution: each channel for itself, and its codes come out.

    Lanes that take few taps a cycle leave small maps to the array, which needs no longer for them.
    """
    channels, height, width, depth = node.weight.shape
    if config.depthwise_taps == 0 or not 1 < node.groups == channels or depth > 1 or node.raw:
        return False
    lines, pixels = map_size(node)
    if max(height, width) > KERNEL_MOST:
        return True
    line = line_cycles(pixels, (height, width), node.dilations[1], node.strides[1], config.depthwise_taps)
    lanes = lines * line + LANES_CYCLES + LANES_TRIP + COUNTERS_CYCLES + COUNTER_ROWS
    array = lines * pixels * height * width * -(-config.columns // config.rows)
    return config.depthwise_taps > 1 or lanes <= LANES_SHARE * array


def maps_of_lanes(graph: Graph, config: AcceleratorConfig) -> set[str]:
    """Names of the maps that such layers read or make, with what a table makes of their results."""
    found: set[str] = set()
    for node in graph.nodes:
        if isinstance(node, Convolution) and runs_in_lanes(node, config):
            found |= {node.inputs[0], node.name}
        elif isinstance(node, LookupTable) and node.inputs[0] in found:
            found.add(node.name)
    return found


def word_codes(node: Convolution, cut: DepthwiseCut) -> Codes:
    """(blocks, words, taps, columns) codes as LOAD brings them, filled up with real zeros."""
    taps, columns = cut.config.depthwise_taps, cut.config.columns
    count = len(node.weight)
    zero_point = weight_zero_points(node).astype(np.int8)
    codes = np.empty((cut.words, taps, count), np.int8)
    codes[...] = zero_point
    for piece in cut.pieces:
        rows, across = len(piece.rows), len(piece.columns)
        found = depthwise_segments(rows, across, node.dilations[1], taps)
        for word, segment in enumerate(found, piece.first_word):
            for place, (y, x) in segment.taps().items():
                codes[word, place] = node.weight[:, piece.rows.first + y, piece.columns.first + x, 0]
    blocks = np.zeros((cut.words, taps, len(cut.blocks) * columns), np.int8)
    blocks[..., :count] = codes
    return np.ascontiguousarray(blocks.reshape(cut.words, taps, -1, columns).transpose(2, 0, 1, 3))


def _sizes(total: int) -> list[int]:
    """Sizes that cut `total` into equal pieces, as far as that goes, the largest first."""
    return sorted({-(-total // count) for count in range(1, total + 1)}, reverse=True)
