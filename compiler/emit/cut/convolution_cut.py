"""How a convolution or linear layer is cut: tiles of positions, column blocks, pieces of K, and what stays loaded."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

from emulator.config import AcceleratorConfig
from emulator.graph import Convolution
from emulator.instructions import PARAMETER_ENTRIES, Opcode, largest

from ..schedule.durations import TRANSFER_CYCLES, transfer_cycles
from .bands import bands
from .column_blocks import Block, blocks
from .maps import Map
from .output_room import output_room
from .tiling import (
    Axis,
    Segment,
    Span,
    Tile,
    cut_channels,
    cut_kernel_rows,
    even_spans,
    in_range,
    segments,
    spans,
    tiles,
)

GROUP_MOST = 8
"""Column blocks that are stored together."""
END_POSITIONS, END_SHARE = 64, 1 / 192
"""Positions of the first and the last tile: at least so many, and that share of all tiles and column blocks."""
LEAST_TILES, LEAST_POSITIONS = 4, 96
"""Tiles of a pointwise layer beside one that the lanes compute, if they have so many positions."""
SPLIT_MOST, SPLIT_ROWS = 4, 8
"""Pieces in which the first tile's channels are loaded, and channel rows that each of them has at least."""


class ConvolutionCut:
    """The pieces of one convolution of the map `source` into `target`, with an adder's `operand` or without.

    groups : where the layer before stores the source some channels after the others: the channels where each piece ends
    follows : the source is another layer's result
    beside_lanes : post-processing alone computes the layer in front or the one behind

    source, target, operand : as given; of a 1×1 kernel the pixels that it reads, as one line if they follow each other
    axes, kernel : geometry and kernel positions, vertical and horizontal
    inputs : lines and pixels that some position meets
    unit : positions that the array computes together
    blocks, channel_rows : column blocks; channel rows of a pixel
    tiles : of output positions
    resident : the input lies in the scratchpad as a whole, each of its bytes loaded once
    jobs : tiles with column blocks that are stored together, in the array's order
    at_once : channel rows of a pixel that fit, where one position's input does not; else None
    group : column blocks whose outputs are stored together, pixel by pixel
    pieces : K of each block in pieces whose weights fit half of the scratchpad
    halves : it is cut in two bands, and its input is another layer's
    parts : channel rows in parts, each in a buffer of its own: of a large input some while another one is in use
    stored : channel rows in the pieces in which the layer before stores them, if the input is resident
    split : channel rows of the first tile's input in pieces, since the array begins with the first one; or none
    by_blocks : each column block meets all positions before the next one, so that its weights are loaded once
    weights_stay, entries_stay : weights, parameter entries are loaded once for all tiles
    """

    def __init__(
        self,
        config: AcceleratorConfig,
        node: Convolution,
        source: Map,
        target: Map,
        operand: Map | None,
        groups: Sequence[int] = (),
        follows: bool = True,
        beside_lanes: bool = False,
    ) -> None:
        self.config, self.node, self.beside_lanes = config, node, beside_lanes
        self.source, self.target, self.operand = source, target, operand
        kernel_height, kernel_width = node.weight.shape[1:3]
        strides, dilations, padding = node.strides, node.dilations, node.padding
        self.pointwise = (kernel_height, kernel_width) == (1, 1) and not any(padding)
        if self.pointwise:
            self.source = source = source.every(*strides, target.height, target.width)
            strides = dilations = (1, 1)
            maps = [source, target, *([operand] if operand is not None else [])]
            if all(each.is_line for each in maps):
                self.source, self.target = source.as_line(), target.as_line()
                self.operand = operand.as_line() if operand is not None else None
        self.kernel = Span(0, kernel_height), Span(0, kernel_width)
        self.axes = (
            Axis(self.source.height, kernel_height, strides[0], dilations[0], padding[0]),
            Axis(self.source.width, kernel_width, strides[1], dilations[1], padding[1]),
        )
        self.inputs = tuple(
            axis.inputs(Span(0, size), kernel)
            for axis, size, kernel in zip(self.axes, (self.target.height, self.target.width), self.kernel, strict=True)
        )
        self.unit = config.rows if config.dataflow == "output_stationary" else 1
        self.blocks = blocks(node, config.columns)
        self.channel_rows = max(-(-len(block.inputs) // config.rows) for block in self.blocks)
        self.tiles, self.at_once = self.cut_positions()
        self.pieces = [self.cut_weights(block) for block in self.blocks]
        tile_rows = sum(piece.tiles for pieces in self.pieces for piece in pieces) * config.rows
        few_weights = tile_rows <= config.weight_depth // 2
        block_rows = max(sum(piece.tiles for piece in pieces) for pieces in self.pieces) * config.rows
        whole = self.tiles[0] if len(self.tiles) == 1 else None
        alike = node.groups == 1 and self.at_once is None
        banded = whole is not None and alike and block_rows <= config.weight_depth
        parts = bands(whole.rows, whole.columns, self.unit) if whole is not None and banded else self.tiles
        self.by_blocks = whole is not None and not few_weights
        if few_weights:
            self.tiles = parts
        self.weights_stay = self.by_blocks or (len(self.tiles) > 1 and few_weights)
        self.entries_stay = self.by_blocks or (len(self.tiles) > 1 and len(self.blocks) <= PARAMETER_ENTRIES // 2)
        self.resident = alike and few_weights and self.fits_whole() if whole is None else alike
        self.parts = self.cut_parts() if self.resident else []
        if len(self.parts) > 1:
            ends = [part.last for part in self.parts]
            self.pieces = [[part for piece in pieces for part in cut_channels(piece, ends)] for pieces in self.pieces]
        self.group = self.group_size()
        self.jobs = self.order_by_blocks(self.tiles[0], parts) if self.by_blocks else self.order_by_tiles()
        self.halves = follows and len(parts) == 2
        self.stored = self.stored_rows(groups) if self.resident else []
        self.split = self.cut_first_input()

    def cut_positions(self) -> tuple[list[Tile], int | None]:
        """Tiles of output positions; and the channel rows of a pixel that fit, if one position's input does not."""
        config = self.config
        room = output_room(config, self.store_group() > 1)
        positions = [config.accumulator_depth // 2, max(room // self.store_group(), 1)]
        if self.operand is not None:
            positions.append(max(config.operand_depth // 2, 1))
        if self.pointwise and self.beside_lanes:
            positions.append(max(self.target.height * self.target.width // LEAST_TILES, LEAST_POSITIONS))
        # What one LOAD brings and one CONVOLVE walks.
        channels = min(largest(Opcode.CONVOLVE, "channel_rows"), largest(Opcode.LOAD, "pixel_bytes") // config.rows)
        whole = Tile(Span(0, self.target.height), Span(0, self.target.width))

        def fits(tile: Tile, depth: int = config.activation_depth // 2) -> bool:
            lines, pixels = (
                min((len(span) - 1) * axis.stride + (axis.kernel - 1) * axis.dilation + 1, axis.size)
                for span, axis in zip((tile.rows, tile.columns), self.axes, strict=True)
            )
            return (
                tile.positions <= min(positions)
                and lines * pixels * self.channel_rows <= depth
                and self.channel_rows <= channels
                and in_range(tile, lines, pixels)
            )

        if fits(whole, config.activation_depth):
            return [whole], None
        # The array waits for the first tile's input, and everything waits for the last one's output.
        work = whole.positions * len(self.blocks) * len(self.kernel[0]) * len(self.kernel[1])
        end = max(END_POSITIONS, int(work * END_SHARE))
        for depth in (config.activation_depth // 2, config.activation_depth):
            cut = tiles(whole.rows, whole.columns, partial(fits, depth=depth), end, self.unit)
            if cut is not None:
                return cut, None
        cut = tiles(whole.rows, whole.columns, lambda tile: tile.positions == 1)
        assert cut is not None
        return cut, max(min(config.activation_depth // 2, channels), 1)

    def store_group(self) -> int:
        """The fewest column blocks whose STORE takes no longer than they take the array."""
        config, whole = self.config, min(GROUP_MOST, len(self.blocks))
        if self.node.raw:
            return 1
        many = 1024  # positions
        tiles = many * len(self.kernel[0]) * len(self.kernel[1]) * self.channel_rows
        for group in range(1, whole):
            stored = transfer_cycles(many, group * config.columns, config.bus_bytes) - TRANSFER_CYCLES
            if stored <= group * tiles:
                return group
        return whole

    def fits_whole(self) -> bool:
        """Whether all the input takes at most half of the scratchpad and an instruction's window spans it."""
        lines, pixels = self.inputs
        small = len(lines) * len(pixels) * self.channel_rows <= self.config.activation_depth // 2
        return small and in_range(Tile(Span(0, 1), Span(0, 1)), len(lines), len(pixels))

    def cut_parts(self) -> list[Span]:
        """Channel rows in parts; of one kernel position, each takes at most a quarter of the scratchpad."""
        lines, pixels = self.inputs
        positions, depth = len(lines) * len(pixels), self.config.activation_depth
        if not self.pointwise or 2 * positions * self.channel_rows <= depth:
            return [Span(0, self.channel_rows)]
        return list(even_spans(self.channel_rows, max(depth // 4 // positions, 1)))

    def order_by_tiles(self) -> list[tuple[Tile, Span]]:
        """Tile after tile, the column blocks of each in groups."""
        return [(tile, group) for tile in self.tiles for group in spans(len(self.blocks), self.group)]

    def order_by_blocks(self, whole: Tile, parts: list[Tile]) -> list[tuple[Tile, Span]]:
        """Block after block; the first one in bands, for sooner input, and the last one, for sooner codes."""
        count = len(self.blocks)
        if len(parts) == 1 or count == 1:
            return [(part, group) for group in spans(count, self.group) for part in parts]
        ends = [[(part, Span(block, block + 1)) for part in parts] for block in (0, count - 1)]
        return [*ends[0], *((whole, group) for group in spans(count - 2, self.group, 1)), *ends[1]]

    def group_size(self) -> int:
        """Column blocks whose outputs are stored together, pixel by pixel."""
        if self.node.raw:
            return 1
        most = max(tile.positions for tile in self.tiles)
        room = output_room(self.config, True)
        sizes = [room // most, GROUP_MOST, len(self.blocks), self.store_group()]
        if self.operand is not None:
            sizes.append(self.config.operand_depth // 2 // most)
        return max(min(sizes), 1)

    def cut_weights(self, block: Block) -> list[Segment]:
        """K of a block in pieces whose weights fit half of the scratchpad."""
        rows = self.config.rows
        most = max(self.config.weight_depth // 2 // rows, 1)
        channel_rows = -(-len(block.inputs) // rows)
        return segments((len(self.kernel[0]), len(self.kernel[1])), channel_rows, most, self.at_once)

    def cut_first_input(self) -> list[Span]:
        """The channel rows of the first tile's input in pieces: the array begins with the first one."""
        if not self.pointwise or self.node.groups > 1 or self.at_once is not None:
            return []
        if self.resident and len(self.stored) > 1:
            return self.stored
        count = min(SPLIT_MOST, self.channel_rows // SPLIT_ROWS)
        return list(even_spans(self.channel_rows, -(-self.channel_rows // count))) if count > 1 else []

    def stored_rows(self, groups: Sequence[int]) -> list[Span]:
        """Channel rows in the pieces in which the layer before stores them; `groups`: the channels where one ends."""
        rows = self.config.rows
        edges = sorted({0, self.channel_rows, *(min(last // rows, self.channel_rows) for last in groups)})
        return [Span(first, last) for first, last in pairwise(edges)]

    def pieces_of(self, tile: Tile, index: int) -> list[Segment]:
        """K of a block for a tile; the first block's along the pieces of the first tile's input.

        Two bands of a map: the first one's last kernel line needs input under the second one, so it is a piece.
        """
        pieces = self.pieces[index]
        if index > 0 or not (self.weights_stay or tile is self.tiles[0]):
            return pieces
        height = len(self.kernel[0])
        if self.resident and self.halves and height > 1:
            return [part for piece in pieces for part in cut_kernel_rows(piece, height - 1)]
        if not self.split:
            return pieces
        return [
            Segment(piece.kernel_rows, piece.kernel_columns, Span(first, last), first)
            for piece in pieces
            for span in self.split
            if (first := max(piece.channels.first, span.first)) < (last := min(piece.channels.last, span.last))
        ]
