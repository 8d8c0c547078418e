"""Layers of few output positions: two column blocks take turns on the array, tile by tile.

With fewer positions than a sum takes through the array, each tile of a block would wait for the sums of the one before.
With the other block's tile in between it need not: such a layer, whose weights are used once, is as fast as the bus
brings them. Each two blocks are finished before the next ones begin, so that post-processing and STOREs come along; the
last two are stored for themselves, and what the next layer needs of them is the last piece of its K.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, pairwise

import numpy as np

from emulator.instructions import PARAMETER_ENTRIES, Opcode
from emulator.timing import sum_round_trip

from .convolution import ConvolutionEmitter
from .cut.column_blocks import weight_tiles, weight_zero_points
from .cut.convolution_cut import ConvolutionCut
from .cut.output_room import output_room
from .cut.tiling import Axis, Segment, Span, Tile, even_spans, in_range, segments, spans
from .schedule.operation import Access, Buffer, Memory, Place

TURNS = 2
"""Column blocks that take turns; an odd number of blocks has three at its end."""
LOAD_ROWS, LOADS_MOST = 128, 4
"""Rows of weights that a LOAD brings at most, unless there are more than so many LOADs: short ones fit in where another
LOAD waits for a STORE."""
PIECES_MOST, PIECE_ROWS = 4, 8
"""Pieces of K before its last one in the first turn, and channel rows that each of them has at least."""


def takes_turns(cut: ConvolutionCut) -> bool:
    """Whether this emission suits a layer: few positions, several column blocks, and room for all that it needs."""
    config, positions = cut.config, cut.target.height * cut.target.width
    lines, pixels = (axis.inputs(Span(0, n), span) for axis, n, span in _geometry(cut))
    sizes = [
        (positions * (TURNS + 1), config.accumulator_depth // 2),
        (len(lines) * len(pixels) * cut.channel_rows, config.activation_depth // 2),
        ((TURNS + 1) * config.rows, config.weight_depth // 2),
        (positions * (TURNS + 1), output_room(config, True)),
    ]
    if cut.operand is not None:
        sizes.append((positions * (TURNS + 1), config.operand_depth // 2))
    return (
        config.dataflow == "weight_stationary"
        and positions < sum_round_trip(config)
        and len(cut.blocks) >= TURNS
        and cut.node.groups == 1
        and not cut.node.raw
        and cut.at_once is None
        and in_range(_whole(cut), len(lines), len(pixels))
        and all(rows <= most for rows, most in sizes)
    )


def _whole(cut: ConvolutionCut) -> Tile:
    return Tile(Span(0, cut.target.height), Span(0, cut.target.width))


def _geometry(cut: ConvolutionCut) -> Iterator[tuple[Axis, int, Span]]:
    return zip(cut.axes, (cut.target.height, cut.target.width), cut.kernel, strict=True)


def gathered(parts: Sequence[Span], size: Callable[[Span], int], most: int) -> list[list[Span]]:
    """Consecutive parts together, as many as `most` allows."""
    made: list[list[Span]] = []
    for part in parts:
        if made and sum(map(size, made[-1])) + size(part) <= most:
            made[-1].append(part)
        else:
            made.append([part])
    return made


def emit_layer(layer: ConvolutionEmitter) -> None:
    """Emit a convolution or linear layer, in turns where that suits it."""
    if takes_turns(layer.cut):
        TurnsEmitter(layer).emit()
    else:
        layer.emit()


class TurnsEmitter:
    """One such layer; `layer` has its cut, and emits its REQUANTIZEs."""

    def __init__(self, layer: ConvolutionEmitter):
        self.layer, self.emitter, self.cut = layer, layer.emitter, layer.cut
        self.config, self.node = layer.config, layer.node
        self.tile = _whole(self.cut)
        count, rows = len(self.cut.blocks), self.config.rows
        edges = [*range(0, count - 1, TURNS), count]
        self.turns = [Span(first, last) for first, last in pairwise(edges)]
        self.lines, self.pixels = (axis.inputs(Span(0, n), span) for axis, n, span in _geometry(self.cut))
        self.input = Buffer(Memory.ACTIVATION, len(self.lines) * len(self.pixels) * self.cut.channel_rows)
        self.unloaded = self.input_pieces()
        kernel = len(self.cut.kernel[0]), len(self.cut.kernel[1])
        most = self.config.weight_depth // 2 // rows // (TURNS + 1)
        self.pieces = segments(kernel, self.cut.channel_rows, most, None)
        self.tiles = sum(piece.tiles for piece in self.pieces)
        self.weights: dict[tuple[int, int], tuple[Buffer, int]] = {}

    def input_pieces(self) -> list[Span]:
        """Channel rows in the pieces in which they are loaded; the last one is what the layer before stores last."""
        total, end = self.cut.channel_rows, TURNS * self.config.columns // self.config.rows
        if not self.cut.pointwise or end < 1 or total < 2 * end:
            return [Span(0, total)]
        count = min(max((total - end) // PIECE_ROWS, 1), PIECES_MOST)
        return [*even_spans(total - end, -(-(total - end) // count)), Span(total - end, total)]

    def emit(self) -> None:
        """Emit the layer."""
        self.emitter.prepare(self.layer.post)
        rows, columns = self.config.rows, self.config.columns
        blocks, node = self.cut.blocks, self.node
        data = [
            np.stack([weight_tiles(block, rows, columns) for block in blocks[turn.first : turn.last]], axis=1)
            for turn in self.turns
        ]
        first = self.emitter.constant(np.concatenate([codes.reshape(-1) for codes in data]))
        ends = accumulate((codes.size for codes in data), initial=first)
        self.addresses = dict(zip(self.turns, ends, strict=False))
        lanes = [slice(block.outputs.first, block.outputs.last) for block in blocks]
        values = node.bias, node.multiplier, node.shift, weight_zero_points(node)
        entries = [self.emitter.parameter_data(*(value[lane] for value in values)) for lane in lanes]
        self.parameter_address = self.emitter.constant(np.stack(entries))
        self.sharers = gathered(self.turns, self.rows_of, min(LOAD_ROWS, self.config.weight_depth // 4))
        last = len(self.turns) - 1
        positions = self.tile.positions
        room = [output_room(self.config, True) // positions, PARAMETER_ENTRIES // 2]
        if self.cut.operand is not None:
            room.append(self.config.operand_depth // 2 // positions)
        for group in [*gathered(self.turns[:last], len, min(room)), self.turns[last:]]:
            self.emit_group(group)

    def rows_of(self, turn: Span) -> int:
        """Rows of a turn's weights."""
        return self.tiles * len(turn) * self.config.rows

    def emit_group(self, group: list[Span]) -> None:
        """Turns whose outputs are stored together."""
        if not group:
            return
        cut, emitter, tile, positions = self.cut, self.emitter, self.tile, self.tile.positions
        first, last = group[0].first, group[-1].last
        count = last - first
        channels = Span(cut.blocks[first].outputs.first, cut.blocks[last - 1].outputs.last)
        output, operand = Buffer(Memory.OUTPUT, positions * count), None
        adder = self.layer.post.add.name if self.layer.post.add is not None else None
        emitter.begin_block()
        self.load_parameters(first, last)
        for turn in group:
            sums = Buffer(Memory.ACCUMULATOR, positions * len(turn))
            for piece in self.pieces_of(turn):
                self.convolve(turn, piece, sums)
            if cut.operand is not None and operand is None:
                operand = Buffer(Memory.OPERAND, positions * count)
                emitter.load(operand, cut.operand.transfer(tile.rows, tile.columns, channels))
            for index in range(turn.first, turn.last):
                place, block = index - first, Place(sums, (index - turn.first) * positions)
                self.layer.requantize(tile, index, block, output, operand, place, count)
                if index == last - 1:
                    emitter.store(output, cut.target.transfer(tile.rows, tile.columns, channels))
                outputs = cut.blocks[index].outputs
                emitter.count(self.node.name, outputs.first, len(outputs), self.node.shape[-1], adder)

    def load_parameters(self, first: int, last: int) -> None:
        """Parameter entries of some blocks."""
        size = self.config.parameter_rows * self.config.columns
        buffer = self.emitter.load_parameters(self.parameter_address + first * size, last - first)
        for index in range(first, last):
            self.layer.entries[index] = buffer, index - first

    def pieces_of(self, turn: Span) -> list[Segment]:
        """K of a turn in pieces whose weights fit; the first one's along the pieces of the input."""
        if turn is not self.turns[0] or len(self.unloaded) == 1:
            return self.pieces
        return [
            Segment(piece.kernel_rows, piece.kernel_columns, Span(first, last), first)
            for piece in self.pieces
            for span in list(self.unloaded)
            if (first := max(piece.channels.first, span.first)) < (last := min(piece.channels.last, span.last))
        ]

    def load_weights(self, turn: Span, piece: Segment) -> tuple[Buffer, int]:
        """(buffer, first row) of the weight tiles of a turn's piece; loaded with the next turns' where they are few."""
        key = turn.first, piece.first_tile
        if key not in self.weights:
            row_bytes, rows = self.config.columns, self.config.rows
            together = next(turns for turns in self.sharers if turn in turns)
            if piece.tiles < self.tiles or len(together) == 1:
                buffer = Buffer(Memory.WEIGHT, piece.tiles * len(turn) * rows)
                address = self.addresses[turn] + piece.first_tile * len(turn) * rows * row_bytes
                self.weights[key] = buffer, 0
            else:
                together = together[together.index(turn) :]
                buffer = Buffer(Memory.WEIGHT, sum(map(self.rows_of, together)))
                address, offset = self.addresses[turn], 0
                for other in together:
                    self.weights[other.first, 0] = buffer, offset
                    offset += self.rows_of(other)
            for part in spans(buffer.rows, max(LOAD_ROWS, buffer.rows // LOADS_MOST)):
                size = len(part) * row_bytes
                self.emitter.load_bytes(buffer, address + part.first * row_bytes, size, part.first)
        return self.weights[key]

    def load_input(self, last: int) -> None:
        """Channel rows up to `last`, unless they are there."""
        while self.unloaded and self.unloaded[0].first < last:
            span, rows = self.unloaded.pop(0), self.config.rows
            channels = Span(span.first * rows, min(span.last * rows, self.cut.source.depth))
            transfer = self.cut.source.transfer(self.lines, self.pixels, channels)
            self.emitter.load(self.input, transfer, span.first, self.cut.channel_rows)

    def convolve(self, turn: Span, piece: Segment, sums: Buffer) -> None:
        """One piece of K for the blocks of a turn."""
        cut, config, tile = self.cut, self.config, self.tile
        weights, row = self.load_weights(turn, piece)
        self.load_input(piece.channels.last)
        vertical, horizontal = cut.axes
        entry, offset = self.layer.entries[turn.first]
        carry, first_channel = int(piece.first_tile > 0), piece.channels.first
        pixels, used = len(self.lines) * len(self.pixels), piece.tiles * len(turn) * config.rows
        accesses = [
            Access(self.input, first_channel, pixels, cut.channel_rows, len(piece.channels)),
            Access(weights, row, 1, used, used),
            Access(sums, 0, 1, sums.rows, sums.rows, write=True),
        ]
        if carry:
            accesses.append(Access(sums, 0, 1, sums.rows, sums.rows))
        if not carry or config.weight_zero_points:
            accesses.append(Access(entry, offset, 1, len(turn), len(turn)))
        self.emitter.emit(
            Opcode.CONVOLVE,
            {
                "output_height": len(tile.rows),
                "output_width": len(tile.columns),
                "kernel_height": len(piece.kernel_rows),
                "kernel_width": len(piece.kernel_columns),
                "input_height": len(self.lines),
                "input_width": len(self.pixels),
                "stride_height": vertical.stride,
                "stride_width": horizontal.stride,
                "dilation_height": vertical.dilation,
                "dilation_width": horizontal.dilation,
                "pad_top": vertical.pad(tile.rows, piece.kernel_rows, self.lines),
                "pad_left": horizontal.pad(tile.columns, piece.kernel_columns, self.pixels),
                "channel_rows": len(piece.channels),
                "pixel_rows": cut.channel_rows,
                "zero_point": cut.source.zero_point,
                "carry": carry,
                "further_blocks": len(turn) - 1,
            },
            {
                "input_row": Place(self.input, first_channel),
                "weight_row": Place(weights, row),
                "accumulator_row": Place(sums),
                "parameters": Place(entry, offset),
            },
            tuple(accesses),
        )
