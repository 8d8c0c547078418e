"""Convolutions and linear layers: LOAD, CONVOLVE, REQUANTIZE and STORE, tile by tile, column block by column block."""

from __future__ import annotations

from functools import partial

import numpy as np

from emulator.graph import Convolution
from emulator.instructions import COUNTER_ROWS, PARAMETER_ENTRIES, Opcode, largest

from .column_blocks import Block, blocks, weight_tiles
from .emitter import Emitter
from .maps import Map
from .operation import Access, Buffer, Memory, Place, Transfer
from .post import Post
from .tiling import Axis, Segment, Span, Tile, even_spans, in_range, segments, spans, tiles

GROUP_MOST = 8
"""Column blocks that are stored together."""
END_POSITIONS, END_SHARE = 64, 1 / 192
"""Positions of the first and the last tile: at least so many, and that share of all tiles and column blocks."""
SPLIT_MOST, SPLIT_ROWS = 4, 8
"""Pieces in which the first tile's channels are loaded, and channel rows that each of them has at least."""


class ConvolutionEmitter:
    """One convolution of a map, with what follows it in post-processing."""

    def __init__(self, emitter: Emitter, node: Convolution, source: Map, target: Map, post: Post):
        self.emitter, self.config, self.node, self.post = emitter, emitter.config, node, post
        self.source, self.target, self.operand = source, target, post.operand
        kernel_height, kernel_width = node.weight.shape[1:3]
        self.strides, self.dilations, padding = node.strides, node.dilations, node.padding
        self.pointwise = (kernel_height, kernel_width) == (1, 1) and not any(padding)
        if self.pointwise:
            self.source = source = source.every(*node.strides, target.height, target.width)
            self.strides = self.dilations = (1, 1)
            maps = [source, target, *([post.operand] if post.operand is not None else [])]
            if all(each.is_line for each in maps):
                self.source, self.target = source.as_line(), target.as_line()
                self.operand = post.operand.as_line() if post.operand is not None else None
        self.kernel = Span(0, kernel_height), Span(0, kernel_width)
        self.axes = (
            Axis(self.source.height, kernel_height, self.strides[0], self.dilations[0], padding[0]),
            Axis(self.source.width, kernel_width, self.strides[1], self.dilations[1], padding[1]),
        )
        self.blocks = blocks(node, self.config.columns)
        self.channel_rows = max(-(-len(block.inputs) // self.config.rows) for block in self.blocks)
        self.tiles, self.at_once = self.cut()
        self.group = self.group_size()
        self.pieces = [self.cut_weights(block) for block in self.blocks]
        self.unloaded: list[Span] = []
        self.weights: dict[tuple[int, int], Buffer] = {}
        self.inputs: dict[tuple[int, int], tuple[Buffer, Span, Span]] = {}
        self.entries: dict[int, tuple[Buffer, int]] = {}
        tile_rows = sum(piece.tiles for pieces in self.pieces for piece in pieces) * self.config.rows
        self.weights_stay = len(self.tiles) > 1 and tile_rows <= self.config.weight_depth // 2
        self.entries_stay = len(self.tiles) > 1 and len(self.blocks) <= PARAMETER_ENTRIES // 2
        self.split = self.cut_first_input()

    def cut(self) -> tuple[list[Tile], int | None]:
        """Tiles of output positions; and the channel rows of a pixel that fit, if one position's input does not."""
        config = self.config
        positions = [config.accumulator_depth // 2, max(config.output_depth // 2, 1)]
        if self.operand is not None:
            positions.append(max(config.operand_depth // 2, 1))
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
        unit = config.rows if config.dataflow == "output_stationary" else 1  # positions that it computes together
        end = max(END_POSITIONS, int(work * END_SHARE))
        for depth in (config.activation_depth // 2, config.activation_depth):
            cut = tiles(whole.rows, whole.columns, partial(fits, depth=depth), end, unit)
            if cut is not None:
                return cut, None
        cut = tiles(whole.rows, whole.columns, lambda tile: tile.positions == 1)
        assert cut is not None
        return cut, max(min(config.activation_depth // 2, channels), 1)

    def group_size(self) -> int:
        """Column blocks whose outputs are stored together, pixel by pixel."""
        most = max(tile.positions for tile in self.tiles)
        room = self.config.output_depth // 2
        if self.config.counters and room < most + COUNTER_ROWS:
            return 1
        sizes = [room // most, GROUP_MOST, len(self.blocks)]
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
        count = min(SPLIT_MOST, self.channel_rows // SPLIT_ROWS)
        if not self.pointwise or self.node.groups > 1 or self.at_once is not None or count < 2:
            return []
        return list(even_spans(self.channel_rows, -(-self.channel_rows // count)))

    def pieces_of(self, tile: Tile, index: int) -> list[Segment]:
        """K of a block for a tile; the first block's along the pieces of the first tile's input."""
        pieces = self.pieces[index]
        if not self.split or index > 0 or not (self.weights_stay or tile is self.tiles[0]):
            return pieces
        return [
            Segment(piece.kernel_rows, piece.kernel_columns, Span(first, last), first)
            for piece in pieces
            for span in self.split
            if (first := max(piece.channels.first, span.first)) < (last := min(piece.channels.last, span.last))
        ]

    def emit(self) -> None:
        """Emit the layer."""
        self.emitter.prepare(self.post)
        tile_bytes = self.config.rows * self.config.columns
        self.weight_address: list[int] = []
        for block in self.blocks:
            data = weight_tiles(block, self.config.rows, self.config.columns)
            assert data.size == tile_bytes * len(data)
            self.weight_address.append(self.emitter.constant(data))
        node = self.node
        lanes = [slice(block.outputs.first, block.outputs.last) for block in self.blocks]
        entries = [
            self.emitter.parameter_data(node.bias[lane], node.multiplier[lane], node.shift[lane]) for lane in lanes
        ]
        self.parameter_address = self.emitter.constant(np.stack(entries))
        for tile in self.tiles:
            self.inputs.clear()
            if not self.weights_stay:
                self.weights.clear()
            if not self.entries_stay:
                self.entries.clear()
            for group in spans(len(self.blocks), self.group):
                self.emit_group(tile, group)

    def emit_group(self, tile: Tile, group: Span) -> None:
        """Some column blocks of one tile, stored together."""
        output = Buffer(Memory.OUTPUT, tile.positions * len(group))
        channels = Span(self.blocks[group.first].outputs.first, self.blocks[group.last - 1].outputs.last)
        operand = None
        for index in range(group.first, group.last):
            self.parameters(index)
            sums = Buffer(Memory.ACCUMULATOR, tile.positions)
            for piece in self.pieces_of(tile, index):
                self.convolve(tile, index, piece, sums)
            if self.operand is not None and operand is None:
                operand = Buffer(Memory.OPERAND, tile.positions * len(group))
                self.emitter.load(operand, self.transfer(self.operand, tile, channels))
            self.requantize(tile, index, sums, output, operand, index - group.first, len(group))
            if index == group.last - 1:
                self.emitter.store(output, self.transfer(self.target, tile, channels))
            outputs = self.blocks[index].outputs
            adder = self.post.add.name if self.post.add is not None else None
            self.emitter.count(self.node.name, outputs.first, len(outputs), self.node.shape[-1], adder)

    def transfer(self, area: Map, tile: Tile, channels: Span) -> Transfer:
        """A tile's bytes of a map of the output's shape."""
        return Transfer(
            area.at(tile.rows.first, tile.columns.first, channels.first),
            len(tile.rows),
            area.line_stride,
            len(tile.columns),
            area.pixel_stride,
            len(channels),
        )

    def parameters(self, index: int) -> tuple[Buffer, int]:
        """The parameter entry of a block; loaded with the next ones'."""
        if index not in self.entries:
            last = min(len(self.blocks), index + PARAMETER_ENTRIES // 4)
            size = 9 * self.config.columns
            buffer = self.emitter.load_parameters(self.parameter_address + index * size, last - index)
            for other in range(index, last):
                self.entries[other] = buffer, other - index
        return self.entries[index]

    def load_weights(self, index: int, piece: Segment) -> Buffer:
        """The weight tiles of a piece of K."""
        key = index, piece.first_tile
        if key not in self.weights:
            config = self.config
            self.weights[key] = Buffer(Memory.WEIGHT, piece.tiles * config.rows)
            tile_bytes = config.rows * config.columns
            address = self.weight_address[index] + piece.first_tile * tile_bytes
            self.emitter.load_bytes(self.weights[key], address, piece.tiles * tile_bytes)
        return self.weights[key]

    def load_inputs(self, tile: Tile, index: int, piece: Segment) -> tuple[Buffer, Span, Span]:
        """Input lines and pixels under a tile, of the block's channels; or only those that the piece needs."""
        inputs = self.blocks[index].inputs
        vertical, horizontal = self.axes
        if self.at_once is None:
            key = inputs.first, inputs.last
            if key in self.inputs:
                self.load_split(tile, self.inputs[key][0], piece)
                return self.inputs[key]
            rows, columns, channels = *self.kernel, inputs
        else:
            rows, columns = piece.kernel_rows, piece.kernel_columns
            first = inputs.first + piece.channels.first * self.config.rows
            channels = Span(first, min(inputs.first + piece.channels.last * self.config.rows, inputs.last))
        lines, pixels = vertical.inputs(tile.rows, rows), horizontal.inputs(tile.columns, columns)
        width = -(-len(channels) // self.config.rows)
        buffer = Buffer(Memory.ACTIVATION, len(lines) * len(pixels) * width)
        if self.at_once is None:
            self.inputs[key] = buffer, lines, pixels
        if self.split and tile is self.tiles[0]:
            self.unloaded = list(self.split)
            self.load_split(tile, buffer, piece)
        else:
            self.emitter.load(buffer, self.area(lines, pixels, channels))
        return buffer, lines, pixels

    def area(self, lines: Span, pixels: Span, channels: Span) -> Transfer:
        """Input bytes."""
        source = self.source
        return Transfer(
            source.at(lines.first, pixels.first, channels.first),
            len(lines),
            source.line_stride,
            len(pixels),
            source.pixel_stride,
            len(channels),
        )

    def load_split(self, tile: Tile, buffer: Buffer, piece: Segment) -> None:
        """Those channels of the first tile's input that a piece of K needs, unless they are there."""
        while tile is self.tiles[0] and self.unloaded and self.unloaded[0].first < piece.channels.last:
            span, rows = self.unloaded.pop(0), self.config.rows
            channels = Span(span.first * rows, min(span.last * rows, self.source.depth))
            transfer = self.area(tile.rows, tile.columns, channels)
            self.emitter.load(buffer, transfer, span.first, self.channel_rows)

    def convolve(self, tile: Tile, index: int, piece: Segment, sums: Buffer) -> None:
        """One piece of K for one tile and one column block."""
        weights = self.load_weights(index, piece)
        inputs, lines, pixels = self.load_inputs(tile, index, piece)
        vertical, horizontal = self.axes
        width = -(-len(self.blocks[index].inputs) // self.config.rows)
        first_channel = piece.channels.first
        if self.at_once is not None:
            width, first_channel = len(piece.channels), 0
        entry, offset = self.entries[index]
        carry = int(piece.first_tile > 0)
        positions = tile.positions
        accesses = [
            Access(inputs, first_channel, len(lines) * len(pixels), width, len(piece.channels)),
            Access(weights, 0, 1, weights.rows, weights.rows),
            Access(sums, 0, 1, positions, positions, write=True),
        ]
        if carry:
            accesses.append(Access(sums, 0, 1, positions, positions))
        else:
            accesses.append(Access(entry, offset, 1, 1, 1))
        self.emitter.emit(
            Opcode.CONVOLVE,
            {
                "output_height": len(tile.rows),
                "output_width": len(tile.columns),
                "kernel_height": len(piece.kernel_rows),
                "kernel_width": len(piece.kernel_columns),
                "input_height": len(lines),
                "input_width": len(pixels),
                "stride_height": vertical.stride,
                "stride_width": horizontal.stride,
                "dilation_height": vertical.dilation,
                "dilation_width": horizontal.dilation,
                "pad_top": vertical.pad(tile.rows, piece.kernel_rows, lines),
                "pad_left": horizontal.pad(tile.columns, piece.kernel_columns, pixels),
                "channel_rows": len(piece.channels),
                "pixel_rows": width,
                "zero_point": self.source.zero_point,
                "carry": carry,
            },
            {
                "input_row": Place(inputs, first_channel),
                "weight_row": Place(weights),
                "accumulator_row": Place(sums),
                "parameters": Place(entry, offset),
            },
            tuple(accesses),
        )

    def requantize(
        self, tile: Tile, index: int, sums: Buffer, output: Buffer, operand: Buffer | None, place: int, group: int
    ) -> None:
        """One block's sums become codes, block `place` of a group of that many."""
        entry, offset = self.entries[index]
        fields, accesses = self.emitter.post_fields(self.post, self.node, len(self.blocks[index].outputs))
        positions = tile.positions
        places = {
            "accumulator_row": Place(sums),
            "output_row": Place(output, place),
            "parameters": Place(entry, offset),
        }
        if operand is not None:
            places["operand_row"] = Place(operand, place)
            accesses = (*accesses, Access(operand, place, positions, group, 1))
        self.emitter.emit(
            Opcode.REQUANTIZE,
            {
                **fields,
                **({"operand_row": 0} if operand is None else {}),
                "count": positions,
                "operand_stride": group,
                "output_stride": group,
            },
            places,
            (
                *accesses,
                Access(entry, offset, 1, 1, 1),
                Access(sums, 0, 1, positions, positions),
                Access(output, place, positions, group, 1, write=True),
            ),
        )
