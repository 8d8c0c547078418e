"""Depthwise convolutions in the lanes of post-processing: LOAD, DEPTHWISE and STORE, tile by tile, beside the array."""

from __future__ import annotations

import numpy as np

from emulator.instructions import DEPTHWISE_WORDS, PARAMETER_ENTRIES, Opcode

from .cut.column_blocks import weight_zero_points
from .cut.depthwise_cut import DepthwiseCut, Piece, word_codes
from .cut.tiling import Span, Tile, spans
from .emitter import Emitter
from .post import Post
from .schedule.operation import Access, Buffer, Memory, Place, Transfer


class DepthwiseEmitter:
    """One depthwise convolution of a map, with the table that follows it in post-processing."""

    def __init__(self, emitter: Emitter, cut: DepthwiseCut, post: Post):
        assert post.add is None
        self.emitter, self.config, self.cut, self.node, self.post = emitter, emitter.config, cut, cut.node, post
        self.entries: dict[int, tuple[Buffer, int]] = {}
        self.weights: dict[tuple[int, int], tuple[Buffer, int]] = {}

    def emit(self) -> None:
        """Emit the layer."""
        self.emitter.prepare(self.post)
        node, blocks = self.node, self.cut.blocks
        self.weight_address = self.emitter.constant(word_codes(node, self.cut))
        columns = node.bias, node.multiplier, node.shift, weight_zero_points(node)
        entries = [self.emitter.parameter_data(*(v[block.first : block.last] for v in columns)) for block in blocks]
        self.parameter_address = self.emitter.constant(np.stack(entries))
        entries_stay = len(blocks) <= PARAMETER_ENTRIES // 2
        weights_stay = len(blocks) * self.cut.words <= DEPTHWISE_WORDS // 2
        for tile in self.cut.tiles:
            if not entries_stay:
                self.entries.clear()
            if not weights_stay:
                self.weights.clear()
            for group in spans(len(blocks), self.cut.group):
                self.emit_group(tile, group)
        if len(self.cut.tiles) == 1 and self.cut.phases == 1:
            ends = tuple(blocks[group.last - 1].last for group in spans(len(blocks), self.cut.group))
            self.emitter.stored_channels[self.post.node.name] = ends
            self.emitter.stored_cycles[self.post.node.name] = self.cut.cycles

    def emit_group(self, tile: Tile, group: Span) -> None:
        """Some blocks of channels of one tile, stored together."""
        blocks = self.cut.blocks
        channels = Span(blocks[group.first].first, blocks[group.last - 1].last)
        output = Buffer(Memory.OUTPUT, tile.positions * len(group))
        inputs: dict[Piece, tuple[Buffer, Span, Span]] = {}
        for index in range(group.first, group.last):
            self.emitter.begin_block()
            for piece in self.cut.pieces:
                self.load_parameters(index)
                self.load_weights(index, piece)
                if piece not in inputs:
                    inputs[piece] = self.load_inputs(tile, piece, channels, len(group))
                self.depthwise(tile, index, piece, inputs[piece], output, Span(index - group.first, len(group)))
            if index == group.last - 1:
                self.emitter.store(output, self.cut.target.transfer(tile.rows, tile.columns, channels))
            self.emitter.count(self.node.name, blocks[index].first, len(blocks[index]), self.post.node.shape[-1])

    def load_parameters(self, index: int) -> None:
        """The parameter entry of a block, with the next ones'."""
        if index not in self.entries:
            last = min(len(self.cut.blocks), index + PARAMETER_ENTRIES // 4)
            size = self.config.parameter_rows * self.config.columns
            buffer = self.emitter.load_parameters(self.parameter_address + index * size, last - index)
            for other in range(index, last):
                self.entries[other] = buffer, other - index

    def load_weights(self, index: int, piece: Piece) -> None:
        """The words of a block; of an undivided kernel with the next ones'."""
        if (index, piece.first_word) in self.weights:
            return
        words, many = self.cut.words, 1
        if len(self.cut.pieces) == 1:
            many = min(max(DEPTHWISE_WORDS // 4 // words, 1), len(self.cut.blocks) - index)
        buffer = Buffer(Memory.DEPTHWISE, many * piece.words)
        size = self.config.depthwise_taps * self.config.columns
        address = self.weight_address + (index * words + piece.first_word) * size
        self.emitter.load_entries(buffer, address, size, self.config.depthwise_pitch)
        for other in range(many):
            self.weights[index + other, piece.first_word] = buffer, other * piece.words

    def load_inputs(self, tile: Tile, piece: Piece, channels: Span, group: int) -> tuple[Buffer, Span, Span]:
        """Input lines and pixels under a piece of the kernel, of a group of blocks."""
        vertical, horizontal = self.cut.axes
        lines, pixels = vertical.inputs(tile.rows, piece.rows), horizontal.inputs(tile.columns, piece.columns)
        buffer = Buffer(Memory.OPERAND, len(lines) * len(pixels) * group)
        if self.cut.phases > 1:
            self.load_phases(buffer, lines, pixels)
        else:
            self.emitter.load(buffer, self.cut.source.transfer(lines, pixels, channels))
        return buffer, lines, pixels

    def load_phases(self, buffer: Buffer, lines: Span, pixels: Span) -> None:
        """Lines of the map in memory, once for each phase; of each phase every n-th line of the buffer."""
        source, phases, rows = self.cut.source, self.cut.phases, len(pixels)
        first, last = lines.first // phases, -(-lines.last // phases)
        for phase in range(phases):
            address = source.at(first, pixels.first) + phase * source.depth // phases
            transfer = Transfer(address, 1, 0, last - first, source.line_stride, rows * source.depth)
            self.emitter.load(buffer, transfer, phase * rows, phases * rows)

    def depthwise(
        self, tile: Tile, index: int, piece: Piece, inputs: tuple[Buffer, Span, Span], output: Buffer, place: Span
    ) -> None:
        """A piece of the kernel for one block, number `place.first` of a group of `place.last`."""
        operand, lines, pixels = inputs
        vertical, horizontal = self.cut.axes
        (entry, offset), (weights, word) = self.entries[index], self.weights[index, piece.first_word]
        carry, keep = piece is not self.cut.pieces[0], piece is not self.cut.pieces[-1]
        group, area = place.last, len(lines) * len(pixels)
        fields, accesses = self.emitter.post_fields(self.post, self.node, 0 if keep else len(self.cut.blocks[index]))
        if not keep:
            accesses = (*accesses, Access(output, place.first, tile.positions, group, 1, write=True))
        self.emitter.emit(
            Opcode.DEPTHWISE,
            {
                **fields,
                "output_height": len(tile.rows),
                "output_width": len(tile.columns),
                "kernel_height": len(piece.rows),
                "kernel_width": len(piece.columns),
                "input_height": len(lines),
                "input_width": len(pixels),
                "stride_height": vertical.stride,
                "stride_width": horizontal.stride,
                "dilation_height": vertical.dilation,
                "dilation_width": horizontal.dilation,
                "pad_top": vertical.pad(tile.rows, piece.rows, lines),
                "pad_left": horizontal.pad(tile.columns, piece.columns, pixels),
                "pixel_rows": group,
                "output_stride": group,
                "input_zero_point": self.cut.source.zero_point,
                "carry": int(carry),
                "keep": int(keep),
                **({"output_row": 0} if keep else {}),
            },
            {
                "input_row": Place(operand, place.first),
                "weight_word": Place(weights, word),
                "parameters": Place(entry, offset),
                **({} if keep else {"output_row": Place(output, place.first)}),
            },
            (
                *accesses,
                Access(operand, place.first, area, group, 1),
                Access(weights, word, 1, piece.words, piece.words),
                Access(entry, offset, 1, 1, 1),
            ),
        )
