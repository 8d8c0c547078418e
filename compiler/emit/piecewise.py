"""Pointwise convolutions of small maps whose input comes some channels after the others: piece by piece of K.

All column blocks that the accumulators hold take the first channels before any of them takes the next ones. So the
array works while the layer in front still makes its last channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from emulator.config import AcceleratorConfig
from emulator.graph import Convolution
from emulator.instructions import PARAMETER_ENTRIES, Opcode

from .cut.column_blocks import blocks, weight_tiles, weight_zero_points
from .cut.maps import Map
from .cut.output_room import output_room
from .cut.tiling import MAP_MOST, Span, even_spans
from .emitter import Emitter
from .post import Post
from .schedule.operation import Access, Buffer, Memory, Place

PIECES_MOST = 4
"""Pieces of K: each of them takes the sums once more through the accumulators."""
LEAST_POSITIONS = 24
"""Positions below which a block's sums would come too late for its next piece."""


class PiecewiseEmitter:
    """One pointwise convolution of a map whose pixels follow one another, with what follows it in post-processing.

    groups : channels at which the pieces end in which the map is stored
    """

    def __init__(
        self, emitter: Emitter, node: Convolution, source: Map, target: Map, post: Post, groups: Sequence[int]
    ) -> None:
        self.emitter, self.config, self.node, self.post = emitter, emitter.config, node, post
        self.source, self.target = source.as_line(), target.as_line()
        self.operand = post.operand.as_line() if post.operand is not None else None
        self.positions = self.target.width
        self.blocks = blocks(node, self.config.columns)
        self.channel_rows = -(-source.depth // self.config.rows)
        self.pieces = _pieces(self.channel_rows, groups, self.config.rows)
        self.together = together(node, self.positions, self.config)

    def emit(self) -> None:
        """Emit the layer."""
        self.emitter.prepare(self.post)
        config, node = self.config, self.node
        tiles = [weight_tiles(block, config.rows, config.columns) for block in self.blocks]
        self.weight_address = self.emitter.constant(np.stack(tiles))
        columns = node.bias, node.multiplier, node.shift, weight_zero_points(node)
        lanes = [slice(block.outputs.first, block.outputs.last) for block in self.blocks]
        entries = [self.emitter.parameter_data(*(values[lane] for values in columns)) for lane in lanes]
        parameter_address = self.emitter.constant(np.stack(entries))
        self.inputs = Buffer(Memory.ACTIVATION, self.positions * self.channel_rows)
        self.missing = list(self.pieces)
        for group in even_spans(len(self.blocks), self.together):
            self.emitter.begin_block()
            at = parameter_address + group.first * config.parameter_rows * config.columns
            self.entries = self.emitter.load_parameters(at, len(group))
            self.emit_group(group)

    def emit_group(self, group: Span) -> None:
        """The column blocks whose sums are in the accumulators at the same time."""
        config = self.config
        tile_bytes = config.rows * config.columns
        sums = Buffer(Memory.ACCUMULATOR, self.positions * len(group))
        weights = [Buffer(Memory.WEIGHT, self.channel_rows * config.rows) for _ in range(len(group))]
        for piece in self.pieces:
            for place in range(len(group)):
                self.emitter.begin_block()
                if piece is self.pieces[0]:
                    first = (group.first + place) * self.channel_rows * tile_bytes
                    self.emitter.load_bytes(weights[place], self.weight_address + first, self.channel_rows * tile_bytes)
                if self.missing and self.missing[0] is piece:
                    self.load_inputs(self.missing.pop(0))
                self.convolve(piece, weights[place], sums, place)
                if piece is self.pieces[-1]:
                    self.finish(group, place, sums)

    def load_inputs(self, piece: Span) -> None:
        """The channels of a piece, of all pixels."""
        rows = self.config.rows
        channels = Span(piece.first * rows, min(piece.last * rows, self.source.depth))
        transfer = self.source.transfer(Span(0, 1), Span(0, self.positions), channels)
        self.emitter.load(self.inputs, transfer, piece.first, self.channel_rows)

    def convolve(self, piece: Span, weights: Buffer, sums: Buffer, place: int) -> None:
        """One piece of K for one column block."""
        count, first, carry = self.positions, place * self.positions, int(piece.first > 0)
        weight_row = piece.first * self.config.rows
        accesses = [
            Access(self.inputs, piece.first, count, self.channel_rows, len(piece)),
            Access(weights, weight_row, 1, len(piece) * self.config.rows, len(piece) * self.config.rows),
            Access(sums, first, 1, count, count, write=True),
        ]
        if carry:
            accesses.append(Access(sums, first, 1, count, count))
        if not carry or self.config.weight_zero_points:
            accesses.append(Access(self.entries, place, 1, 1, 1))
        ones = ("output_height", "kernel_height", "kernel_width", "input_height", "stride_height", "stride_width")
        self.emitter.emit(
            Opcode.CONVOLVE,
            {
                **dict.fromkeys((*ones, "dilation_height", "dilation_width"), 1),
                "output_width": count,
                "input_width": count,
                "pad_top": 0,
                "pad_left": 0,
                "channel_rows": len(piece),
                "pixel_rows": self.channel_rows,
                "zero_point": self.source.zero_point,
                "carry": carry,
            },
            {
                "input_row": Place(self.inputs, piece.first),
                "weight_row": Place(weights, weight_row),
                "accumulator_row": Place(sums, first),
                "parameters": Place(self.entries, place),
            },
            tuple(accesses),
        )

    def finish(self, group: Span, place: int, sums: Buffer) -> None:
        """One block's sums become codes, and these are stored."""
        count, first, outputs = self.positions, place * self.positions, self.blocks[group.first + place].outputs
        output = Buffer(Memory.OUTPUT, count)
        fields, accesses = self.emitter.post_fields(self.post, self.node, len(outputs))
        places = {
            "accumulator_row": Place(sums, first),
            "output_row": Place(output),
            "parameters": Place(self.entries, place),
        }
        pixels = Span(0, 1), Span(0, count), outputs
        if self.operand is not None:
            operand = Buffer(Memory.OPERAND, count)
            self.emitter.load(operand, self.operand.transfer(*pixels))
            places["operand_row"] = Place(operand)
            accesses = (*accesses, Access(operand, 0, 1, count, count))
        self.emitter.emit(
            Opcode.REQUANTIZE,
            {
                **fields,
                **({"operand_row": 0} if self.operand is None else {}),
                "count": count,
                "operand_stride": 1,
                "output_stride": 1,
            },
            places,
            (
                *accesses,
                Access(self.entries, place, 1, 1, 1),
                Access(sums, first, 1, count, count),
                Access(output, 0, 1, count, count, write=True),
            ),
        )
        self.emitter.store(output, self.target.transfer(*pixels))
        adder = self.post.add.name if self.post.add is not None else None
        self.emitter.count(self.node.name, outputs.first, len(outputs), self.node.shape[-1], adder)


def runs_piecewise(
    node: Convolution, source: Map, target: Map, operand: Map | None, groups: Sequence[int], config: AcceleratorConfig
) -> bool:
    """Whether a convolution is pointwise, its input comes in several pieces, and it and its weights fit."""
    maps = [source, target, *([operand] if operand is not None else [])]
    positions, rows = target.height * target.width, -(-source.depth // config.rows)
    room = output_room(config, False) if operand is None else min(output_room(config, False), config.operand_depth // 2)
    return (
        node.weight.shape[1:3] == (1, 1)
        and node.groups == 1
        and not any(node.padding)
        and node.strides == (1, 1)
        and not node.raw
        and all(each.is_line for each in maps)
        and LEAST_POSITIONS <= positions <= min(MAP_MOST, room)
        and positions * rows <= config.activation_depth // 2
        and together(node, positions, config) > 1
        and len(_pieces(rows, groups, config.rows)) > 1
    )


def together(node: Convolution, positions: int, config: AcceleratorConfig) -> int:
    """Column blocks whose sums, weights and parameters lie in the accelerator at the same time."""
    count, depth = len(node.weight), int(node.weight.shape[3])
    return min(
        -(-count // config.columns),
        config.accumulator_depth // 2 // positions,
        config.weight_depth // 2 // (-(-depth // config.rows) * config.rows),
        PARAMETER_ENTRIES // 2,
    )


def _pieces(channel_rows: int, groups: Sequence[int], rows: int) -> list[Span]:
    """Channel rows in at most PIECES_MOST pieces, each of them whole in some of the stored ones."""
    edges = sorted({0, channel_rows, *(min(last // rows, channel_rows) for last in groups)})
    while len(edges) - 1 > PIECES_MOST:
        sizes = [after - before for before, after in zip(edges, edges[2:], strict=False)]
        del edges[1 + sizes.index(min(sizes))]
    return [Span(first, last) for first, last in pairwise(edges)]
