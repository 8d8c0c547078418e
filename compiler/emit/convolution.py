"""Convolutions and linear layers: LOAD, CONVOLVE, REQUANTIZE and STORE, tile by tile, column block by column block."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from emulator.graph import Convolution
from emulator.instructions import PARAMETER_ENTRIES, Opcode

from .cut.column_blocks import weight_tiles, weight_zero_points
from .cut.convolution_cut import ConvolutionCut
from .cut.maps import Map
from .cut.tiling import Segment, Span, Tile
from .emitter import Emitter
from .post import Post
from .resident_input import ResidentInput
from .schedule.operation import Access, Buffer, Memory, Place


class ConvolutionEmitter:
    """One convolution of a map, with what follows it in post-processing.

    follows : its input is another layer's result
    """

    def __init__(self, emitter: Emitter, node: Convolution, source: Map, target: Map, post: Post):
        self.emitter, self.config, self.node, self.post = emitter, emitter.config, node, post
        source_name = node.inputs[0]
        groups = emitter.stored_blocks.get(source_name) or emitter.stored_channels.get(source_name, ())
        self.follows = source_name not in emitter.given
        beside = not emitter.of_lanes.isdisjoint((source_name, emitter.stored[-1]))
        self.cut = ConvolutionCut(emitter.config, node, source, target, post.operand, groups, self.follows, beside)
        self.resident = ResidentInput(emitter, self.cut) if self.cut.resident else None
        self.weight_address: list[int] = []
        self.parameter_address = 0
        self.unloaded: list[Span] = []
        self.weights: dict[tuple[int, int], Buffer] = {}
        self.inputs: dict[tuple[int, int], tuple[Buffer, Span, Span]] = {}
        self.entries: dict[int, tuple[Buffer, int]] = {}

    def emit(self) -> None:
        """Emit the layer."""
        self.emitter.prepare(self.post)
        self.place_constants()
        before = None
        for tile, group in self.cut.jobs:
            if tile is not before:
                self.inputs.clear()
                if not self.cut.weights_stay:
                    self.weights.clear()
                if not self.cut.entries_stay:
                    self.entries.clear()
            before = tile
            self.emit_group(tile, group)
        if self.cut.by_blocks:
            ends = [self.cut.blocks[group.last - 1].outputs.last for _, group in self.cut.jobs]
            self.emitter.stored_blocks[self.post.node.name] = tuple(dict.fromkeys(ends))

    def place_constants(self) -> None:
        """Give weights and parameters their places in memory."""
        tile_bytes = self.config.rows * self.config.columns
        for block in self.cut.blocks:
            data = weight_tiles(block, self.config.rows, self.config.columns)
            assert data.size == tile_bytes * len(data)
            self.weight_address.append(self.emitter.constant(data))
        node = self.node
        lanes = [slice(block.outputs.first, block.outputs.last) for block in self.cut.blocks]
        columns = node.bias, node.multiplier, node.shift, weight_zero_points(node)
        entries = [self.emitter.parameter_data(*(values[lane] for values in columns)) for lane in lanes]
        self.parameter_address = self.emitter.constant(np.stack(entries))

    def emit_group(self, tile: Tile, group: Span) -> None:
        """Some column blocks of one tile, stored together."""
        output = Buffer(Memory.OUTPUT, tile.positions * len(group))
        channels = Span(self.cut.blocks[group.first].outputs.first, self.cut.blocks[group.last - 1].outputs.last)
        operand = None
        for index in range(group.first, group.last):
            self.emitter.begin_block()
            self.parameters(index)
            sums = Buffer(Memory.ACCUMULATOR, tile.positions)
            for piece in self.cut.pieces_of(tile, index):
                self.convolve(tile, index, piece, sums)
            if self.cut.operand is not None and operand is None:
                operand = Buffer(Memory.OPERAND, tile.positions * len(group))
                self.emitter.load(operand, self.cut.operand.transfer(tile.rows, tile.columns, channels))
            if self.node.raw:
                self.store_sums(tile, index, sums)
            else:
                self.requantize(tile, index, Place(sums), output, operand, index - group.first, len(group))
                if index == group.last - 1:
                    self.emitter.store(output, self.cut.target.transfer(tile.rows, tile.columns, channels))
            self.emitter.count(*self.counter_block(index))

    def parameters(self, index: int) -> tuple[Buffer, int]:
        """The parameter entry of a block; loaded with the next ones'."""
        if index not in self.entries:
            last = min(len(self.cut.blocks), index + PARAMETER_ENTRIES // 4)
            size = self.config.parameter_rows * self.config.columns
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
        inputs = self.cut.blocks[index].inputs
        vertical, horizontal = self.cut.axes
        if self.resident is not None:
            self.resident.need(self.resident.along(tile, piece.kernel_rows, piece.kernel_columns), piece.channels)
            buffer = self.resident.buffers[self.resident.part(piece.channels)]
            if self.resident.flat:
                return buffer, self.resident.lines, horizontal.inputs(tile.columns, piece.kernel_columns)
            return buffer, vertical.inputs(tile.rows, piece.kernel_rows), self.resident.pixels
        if self.cut.at_once is None:
            key = inputs.first, inputs.last
            if key in self.inputs:
                self.load_split(tile, self.inputs[key][0], piece)
                return self.inputs[key]
            rows, columns, channels = *self.cut.kernel, inputs
        else:
            rows, columns = piece.kernel_rows, piece.kernel_columns
            first = inputs.first + piece.channels.first * self.config.rows
            channels = Span(first, min(inputs.first + piece.channels.last * self.config.rows, inputs.last))
        lines, pixels = vertical.inputs(tile.rows, rows), horizontal.inputs(tile.columns, columns)
        width = -(-len(channels) // self.config.rows)
        buffer = Buffer(Memory.ACTIVATION, len(lines) * len(pixels) * width)
        if self.cut.at_once is None:
            self.inputs[key] = buffer, lines, pixels
        if self.cut.split and tile is self.cut.tiles[0]:
            self.unloaded = list(self.cut.split)
            self.load_split(tile, buffer, piece)
        else:
            self.emitter.load(buffer, self.cut.source.transfer(lines, pixels, channels))
        return buffer, lines, pixels

    def load_split(self, tile: Tile, buffer: Buffer, piece: Segment) -> None:
        """Those channels of the first tile's input that a piece of K needs, unless they are there."""
        while tile is self.cut.tiles[0] and self.unloaded and self.unloaded[0].first < piece.channels.last:
            span, rows = self.unloaded.pop(0), self.config.rows
            channels = Span(span.first * rows, min(span.last * rows, self.cut.source.depth))
            transfer = self.cut.source.transfer(tile.rows, tile.columns, channels)
            self.emitter.load(buffer, transfer, span.first, self.cut.channel_rows)

    def convolve(self, tile: Tile, index: int, piece: Segment, sums: Buffer) -> None:
        """One piece of K for one tile and one column block."""
        weights = self.load_weights(index, piece)
        inputs, lines, pixels = self.load_inputs(tile, index, piece)
        vertical, horizontal = self.cut.axes
        width = -(-len(self.cut.blocks[index].inputs) // self.config.rows)
        first_channel = piece.channels.first
        if self.cut.at_once is not None:
            width, first_channel = len(piece.channels), 0
        first_row = first_channel
        if self.resident is not None:
            part = self.resident.part(piece.channels)
            width = len(part)
            first_row += self.resident.place(lines.first, pixels.first, part) - part.first
        entry, offset = self.entries[index]
        carry = int(piece.first_tile > 0)
        positions = tile.positions
        accesses = [
            Access(inputs, first_row, len(lines) * len(pixels), width, len(piece.channels)),
            Access(weights, 0, 1, weights.rows, weights.rows),
            Access(sums, 0, 1, positions, positions, write=True),
        ]
        if carry:
            accesses.append(Access(sums, 0, 1, positions, positions))
        if not carry or self.config.weight_zero_points:
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
                "zero_point": self.cut.source.zero_point,
                "carry": carry,
            },
            {
                "input_row": Place(inputs, first_row),
                "weight_row": Place(weights),
                "accumulator_row": Place(sums),
                "parameters": Place(entry, offset),
            },
            tuple(accesses),
        )

    def store_sums(self, tile: Tile, index: int, sums: Buffer) -> None:
        """One block's sums, byte by byte, each byte to its plane."""
        target, outputs = self.cut.target, self.cut.blocks[index].outputs
        plane = target.height * target.width * target.depth
        for byte in range(-(-self.config.arithmetic.accumulator_bits // 8)):
            output = Buffer(Memory.OUTPUT, tile.positions)
            self.requantize(tile, index, Place(sums), output, None, 0, 1, byte + 1)
            there = replace(target, address=target.address + byte * plane)
            self.emitter.store(output, there.transfer(tile.rows, tile.columns, outputs))

    def requantize(
        self,
        tile: Tile,
        index: int,
        sums: Place,
        output: Buffer,
        operand: Buffer | None,
        place: int,
        group: int,
        byte: int = 0,
        blocks: int = 1,
    ) -> None:
        """One block's sums become codes, block `place` of a group of that many, or bytes: of the sums that overflowed
        each counts once. So do those of the `blocks` − 1 blocks behind it, with as many channels: the counters behind
        each but the last are stored.
        """
        entry, offset = self.entries[index]
        lanes = len(self.cut.blocks[index].outputs) if byte <= 1 else 0
        fields, accesses = self.emitter.post_fields(self.post, self.node, lanes)
        positions = tile.positions
        places = {
            "accumulator_row": sums,
            "output_row": Place(output, place),
            "parameters": Place(entry, offset),
        }
        if operand is not None:
            places["operand_row"] = Place(operand, place)
            accesses = (*accesses, Access(operand, place, positions, group, blocks))
        counts = blocks > 1 and self.config.counters
        if counts:
            places["counter_row"], access = self.emitter.counter_rows(blocks - 1)
            accesses = (*accesses, access)
        self.emitter.emit(
            Opcode.REQUANTIZE,
            {
                **fields,
                **({} if counts else {"counter_row": 0}),
                **({"operand_row": 0} if operand is None else {}),
                "count": positions,
                "operand_stride": group,
                "output_stride": group,
                "further_blocks": blocks - 1,
                **({"byte": byte} if byte else {}),
            },
            places,
            (
                *accesses,
                Access(entry, offset, 1, blocks, blocks),
                Access(sums.buffer, sums.offset, 1, blocks * positions, blocks * positions),
                Access(output, place, positions, group, blocks, write=True),
            ),
        )
        if counts:
            self.emitter.counted([self.counter_block(other) for other in range(index, index + blocks - 1)])

    def counter_block(self, index: int) -> tuple[str, int, int, int, str | None]:
        """Whose counters a column block's are: as `Emitter.count` takes them."""
        outputs = self.cut.blocks[index].outputs
        adder = self.post.add.name if self.post.add is not None else None
        return self.node.name, outputs.first, len(outputs), self.post.node.shape[-1], adder
