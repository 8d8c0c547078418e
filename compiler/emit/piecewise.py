"""Pointwise convolutions of small maps whose input comes some channels after the others: piece by piece of K.

All column blocks that the accumulators hold take the first channels before any of them takes the next ones. So the
array works while the layer in front still makes its last channels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from emulator.graph import Convolution
from emulator.instructions import PARAMETER_ENTRIES, Opcode

from .cut.column_blocks import blocks, weight_tiles, weight_zero_points
from .cut.maps import Map
from .cut.piecewise_cut import head_and_tail, pieces, together
from .cut.tiling import Span, even_spans, spans
from .emitter import Emitter
from .post import Post
from .schedule.operation import Access, Buffer, Memory, Place

ENTRIES_MOST = PARAMETER_ENTRIES // 4
"""Parameter entries of results that are loaded together."""


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
        # Rows from pixel to pixel, and from its channels of one tile to those of the next one.
        self.steps = (1, self.positions) if source.block else (self.channel_rows, 1)
        self.pieces = pieces(self.channel_rows, groups, self.config.rows)
        array = len(self.blocks) * self.channel_rows * self.positions
        self.heads, self.tail = head_and_tail(self.pieces, emitter.stored_cycles.get(node.inputs[0], 0) > array)
        self.together = together(node, self.positions, self.config)
        self.in_turns = self.config.dataflow == "weight_stationary"

    def emit(self) -> None:
        """Emit the layer."""
        self.emitter.prepare(self.post)
        config, node = self.config, self.node
        self.tiles = [weight_tiles(block, config.rows, config.columns) for block in self.blocks]
        columns = node.bias, node.multiplier, node.shift, weight_zero_points(node)
        lanes = [slice(block.outputs.first, block.outputs.last) for block in self.blocks]
        entries = [self.emitter.parameter_data(*(values[lane] for values in columns)) for lane in lanes]
        self.parameter_address = self.emitter.constant(np.stack(entries))
        self.inputs = Buffer(Memory.ACTIVATION, self.positions * self.channel_rows)
        self.missing = list(self.pieces)
        for group in even_spans(len(self.blocks), self.together):
            self.emit_group(group)

    def emit_group(self, group: Span) -> None:
        """The column blocks whose sums are in the accumulators at the same time: all of them up to the last piece of K,
        then one after the other. Once the whole input is there, there is nothing to wait for.
        """
        sums = Buffer(Memory.ACCUMULATOR, self.positions * len(group))
        whole = Span(0, self.channel_rows)
        heads, tail = (self.heads, self.tail) if self.missing else ([], whole)
        starts: dict[Span, Buffer] = {}
        for piece in heads:
            for some in spans(len(group), ENTRIES_MOST):
                for places in [some] if self.in_turns else spans(len(some), 1, some.first):
                    self.emitter.begin_block()
                    if some not in starts:
                        starts[some] = self.load_parameters(Span(group.first + some.first, group.first + some.last))
                    self.convolve(piece, group, places, sums, (starts[some], places.first - some.first))
        entries: dict[int, tuple[Buffer, int]] = {}
        for place in range(len(group)):
            self.emitter.begin_block()
            if place not in entries:
                some = Span(place, min(place + ENTRIES_MOST, len(group)))
                buffer = self.load_parameters(Span(group.first + some.first, group.first + some.last))
                entries.update((other, (buffer, other - place)) for other in range(some.first, some.last))
            self.convolve(tail, group, Span(place, place + 1), sums, entries[place])
            self.finish(group, place, sums, entries[place])

    def load_parameters(self, group: Span) -> Buffer:
        """Parameter entries of some column blocks."""
        size = self.config.parameter_rows * self.config.columns
        return self.emitter.load_parameters(self.parameter_address + group.first * size, len(group))

    def load_weights(self, piece: Span, group: Span) -> Buffer:
        """Weight tiles of a piece of K of some column blocks, which take turns."""
        codes = np.stack([self.tiles[index][piece.first : piece.last] for index in range(group.first, group.last)], 1)
        buffer = Buffer(Memory.WEIGHT, len(piece) * len(group) * self.config.rows)
        self.emitter.load_bytes(buffer, self.emitter.constant(codes), codes.size)
        return buffer

    def load_inputs(self, piece: Span) -> None:
        """The channels of a piece, of all pixels."""
        rows, (pixel_rows, step) = self.config.rows, self.steps
        for part in spans(len(piece), 1, piece.first) if self.source.block else [piece]:
            channels = Span(part.first * rows, min(part.last * rows, self.source.depth))
            transfer = self.source.transfer(Span(0, 1), Span(0, self.positions), channels)
            self.emitter.load(self.inputs, transfer, part.first * step, pixel_rows)

    def convolve(self, piece: Span, group: Span, places: Span, sums: Buffer, entry: tuple[Buffer, int]) -> None:
        """One piece of K for some column blocks of a group, which take turns; `entry` is the first one's parameters."""
        weights = self.load_weights(piece, Span(group.first + places.first, group.first + places.last))
        while self.missing and self.missing[0].first < piece.last:
            self.load_inputs(self.missing.pop(0))
        count, blocks, carry = self.positions, len(places), int(piece.first > 0)
        first, rows = places.first * count, blocks * count
        accesses = [
            self.reads(piece),
            Access(weights, 0, 1, weights.rows, weights.rows),
            Access(sums, first, 1, rows, rows, write=True),
        ]
        if carry:
            accesses.append(Access(sums, first, 1, rows, rows))
        if not carry or self.config.weight_zero_points:
            accesses.append(Access(entry[0], entry[1], 1, blocks, blocks))
        ones = ("output_height", "kernel_width", "stride_height", "stride_width", "dilation_height", "dilation_width")
        lines = len(piece) if self.source.block else 1
        self.emitter.emit(
            Opcode.CONVOLVE,
            {
                **dict.fromkeys(ones, 1),
                "kernel_height": lines,
                "input_height": lines,
                "output_width": count,
                "input_width": count,
                "pad_top": 0,
                "pad_left": 0,
                "channel_rows": len(piece) // lines,
                "pixel_rows": self.steps[0],
                "zero_point": self.source.zero_point,
                "carry": carry,
                **({"further_blocks": blocks - 1} if self.in_turns else {}),
            },
            {
                "input_row": Place(self.inputs, piece.first * self.steps[1]),
                "weight_row": Place(weights),
                "accumulator_row": Place(sums, first),
                "parameters": Place(*entry),
            },
            tuple(accesses),
        )

    def reads(self, piece: Span) -> Access:
        """The rows of a piece's channels; of a map in blocks, a tile's are a line of them."""
        count = self.positions
        if self.source.block:
            return Access(self.inputs, piece.first * count, 1, len(piece) * count, len(piece) * count)
        return Access(self.inputs, piece.first, count, self.channel_rows, len(piece))

    def finish(self, group: Span, place: int, sums: Buffer, entry: tuple[Buffer, int]) -> None:
        """One block's sums become codes, and these are stored."""
        count, first, outputs = self.positions, place * self.positions, self.blocks[group.first + place].outputs
        output = Buffer(Memory.OUTPUT, count)
        fields, accesses = self.emitter.post_fields(self.post, self.node, len(outputs))
        places = {
            "accumulator_row": Place(sums, first),
            "output_row": Place(output),
            "parameters": Place(*entry),
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
                "counter_row": 0,
                "further_blocks": 0,
                "count": count,
                "operand_stride": 1,
                "output_stride": 1,
            },
            places,
            (
                *accesses,
                Access(*entry, 1, 1, 1),
                Access(sums, first, 1, count, count),
                Access(output, 0, 1, count, count, write=True),
            ),
        )
        self.emitter.store(output, self.target.transfer(*pixels))
        adder = self.post.add.name if self.post.add is not None else None
        self.emitter.count(self.node.name, outputs.first, len(outputs), self.node.shape[-1], adder)
