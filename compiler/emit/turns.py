"""Layers of few output positions: column blocks take turns on the array, tile by tile.

With fewer positions than a sum takes through the array, each tile of a block would wait for the sums of the one before.
With another block's tile in between it need not: such a layer, whose weights are used once, is as fast as the bus
brings them. Each two blocks are finished before the next ones begin, so that post-processing and STOREs come along. The
first ones begin together with what is there of K, while the layer before stores the last pieces of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TypeVar

import numpy as np

from emulator.graph import Codes
from emulator.instructions import PARAMETER_ENTRIES, Opcode
from emulator.timing import sum_round_trip

from .convolution import ConvolutionEmitter
from .cut.column_blocks import weight_tiles, weight_zero_points
from .cut.convolution_cut import ConvolutionCut
from .cut.output_room import output_room
from .cut.tiling import Axis, Segment, Span, Tile, cut_channels, even_spans, in_range, segments, spans
from .schedule.operation import Access, Buffer, Memory, Place

Part = TypeVar("Part")

TURNS = 2
"""Column blocks that take turns; an odd number of blocks has three at its end."""
HEAD_TURNS = 2
"""Turns that begin a layer together."""
LOAD_SHARE, LOAD_ROWS = 16, 128
"""Rows of weights that a LOAD brings at most: that share of the scratchpad, or, where that is small, so many. The array
waits for all of them."""
START_ROWS = (2, 6, 12)
"""Channel rows at which K is cut for the first turns of the program, for which nothing is loaded before."""
PIECES_MOST, PIECE_ROWS = 4, 8
"""Pieces of K before its last two in the first turns, and channel rows that each of them has at least."""


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


def gathered(parts: Sequence[Part], size: Callable[[Part], int], most: int) -> list[list[Part]]:
    """Consecutive parts together, as many as `most` allows."""
    made: list[list[Part]] = []
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


@dataclass(frozen=True)
class Job:
    """A piece of K for some column blocks, one CONVOLVE."""

    blocks: Span
    piece: Segment

    @property
    def tiles(self) -> int:
        """Weight tiles of all its blocks."""
        return len(self.blocks) * self.piece.tiles


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
        depth = self.config.weight_depth
        self.load_rows = max(depth // LOAD_SHARE, min(LOAD_ROWS, depth // 4), (TURNS + 1) * rows)
        self.head = Span(0, self.turns[: self.head_turns()][-1].last)
        self.jobs = self.cut_jobs()
        jobs = [job for jobs in self.jobs.values() for job in jobs]
        self.loads = gathered(jobs, lambda job: job.tiles * rows, 3 * self.load_rows // 4)
        self.sums = Buffer(Memory.ACCUMULATOR, 0)
        self.weights: dict[Job, tuple[Buffer, int]] = {}

    def head_turns(self) -> int:
        """Turns that begin together."""
        last = self.turns[:HEAD_TURNS][-1].last
        most = [
            self.config.accumulator_depth // 2 // self.tile.positions,
            self.load_rows // self.config.rows,
            PARAMETER_ENTRIES // 2,
        ]
        return HEAD_TURNS if last <= min(most) else 1

    def input_pieces(self) -> list[Span]:
        """Channel rows in the pieces in which they are loaded; the last two are what the layer before stores last."""
        total, end = self.cut.channel_rows, TURNS * self.config.columns // self.config.rows
        if not self.layer.follows or not self.cut.pointwise or end < 1 or total < 2 * end:
            return [Span(0, total)]
        ends = 2 if total >= 4 * end else 1
        first = total - ends * end
        count = min(max(first // PIECE_ROWS, 1), PIECES_MOST)
        return [*even_spans(first, -(-first // count)), *spans(ends * end, end, first)]

    def cut_jobs(self) -> dict[Span, list[Job]]:
        """The jobs of each turn, in the array's order: all but the last piece of K for the first turns together."""
        starts = [span.first for span in self.unloaded] if self.layer.follows else START_ROWS
        *early, last = [part for piece in self.pieces(self.head) for part in cut_channels(piece, starts)]
        jobs = {}
        for turn in self.turns:
            in_head = turn.last <= self.head.last
            jobs[turn] = [Job(turn, piece) for piece in ([last] if in_head else self.pieces(turn))]
        jobs[self.turns[0]][:0] = [Job(self.head, piece) for piece in early]
        return jobs

    def pieces(self, turn: Span) -> list[Segment]:
        """K in pieces of about one size whose weights for all blocks of a turn one LOAD brings."""
        kernel = len(self.cut.kernel[0]), len(self.cut.kernel[1])
        tiles = kernel[0] * kernel[1] * self.cut.channel_rows
        most = max(self.load_rows // self.config.rows // len(turn), 1)
        return segments(kernel, self.cut.channel_rows, -(-tiles // -(-tiles // most)), None)

    def emit(self) -> None:
        """Emit the layer."""
        self.emitter.prepare(self.layer.post)
        rows, columns = self.config.rows, self.config.columns
        blocks, node = self.cut.blocks, self.node
        tiles = [weight_tiles(block, rows, columns) for block in blocks]
        data = [self.job_weights(job, tiles).reshape(-1) for jobs in self.jobs.values() for job in jobs]
        self.weight_address = self.emitter.constant(np.concatenate(data))
        lanes = [slice(block.outputs.first, block.outputs.last) for block in blocks]
        values = node.bias, node.multiplier, node.shift, weight_zero_points(node)
        entries = [self.emitter.parameter_data(*(value[lane] for value in values)) for lane in lanes]
        self.parameter_address = self.emitter.constant(np.stack(entries))
        positions = self.tile.positions
        room = [output_room(self.config, True) // positions, PARAMETER_ENTRIES // 2]
        if self.cut.operand is not None:
            room.append(self.config.operand_depth // 2 // positions)
        early = max(len(self.turns) - 2, 0)
        for group in [*gathered(self.turns[:early], len, min(room)), *([turn] for turn in self.turns[early:])]:
            self.emit_group(group)

    def job_weights(self, job: Job, tiles: Sequence[Codes]) -> Codes:
        """(tiles, blocks, rows, columns) weights of a job, as the array takes them."""
        first, last = job.piece.first_tile, job.piece.first_tile + job.piece.tiles
        return np.stack([tiles[block][first:last] for block in range(job.blocks.first, job.blocks.last)], axis=1)

    def emit_group(self, group: list[Span]) -> None:
        """Turns whose outputs are stored together."""
        cut, emitter, tile, positions = self.cut, self.emitter, self.tile, self.tile.positions
        first, last = group[0].first, group[-1].last
        count = last - first
        channels = Span(cut.blocks[first].outputs.first, cut.blocks[last - 1].outputs.last)
        output, operand = Buffer(Memory.OUTPUT, positions * count), None
        adder = self.layer.post.add.name if self.layer.post.add is not None else None
        emitter.begin_block()
        for turn in group:
            sums = self.convolve_turn(turn)
            if cut.operand is not None and operand is None:
                operand = Buffer(Memory.OPERAND, positions * count)
                emitter.load(operand, cut.operand.transfer(tile.rows, tile.columns, channels))
            for index in range(turn.first, turn.last):
                place, block = index - first, replace(sums, offset=sums.offset + (index - turn.first) * positions)
                self.layer.requantize(tile, index, block, output, operand, place, count)
                if index == last - 1:
                    emitter.store(output, cut.target.transfer(tile.rows, tile.columns, channels))
                outputs = cut.blocks[index].outputs
                emitter.count(self.node.name, outputs.first, len(outputs), self.layer.post.node.shape[-1], adder)

    def convolve_turn(self, turn: Span) -> Place:
        """All jobs of a turn; where the sums of its blocks lie."""
        together = self.head if turn.last <= self.head.last else turn
        positions = self.tile.positions
        if turn.first == together.first:
            self.load_parameters(together)
            self.sums = Buffer(Memory.ACCUMULATOR, positions * len(together))
        for job in self.jobs[turn]:
            self.convolve(job, Place(self.sums, (job.blocks.first - together.first) * positions))
        return Place(self.sums, (turn.first - together.first) * positions)

    def load_parameters(self, turn: Span) -> None:
        """Parameter entries of a turn's blocks and of the next ones', unless they are there."""
        if turn.first in self.layer.entries:
            return
        most = turn.first + PARAMETER_ENTRIES // 2
        last = max(other.last for other in self.turns if turn.first <= other.first and other.last <= most)
        size = self.config.parameter_rows * self.config.columns
        buffer = self.emitter.load_parameters(self.parameter_address + turn.first * size, last - turn.first)
        for index in range(turn.first, last):
            self.layer.entries[index] = buffer, index - turn.first

    def load_weights(self, job: Job) -> tuple[Buffer, int]:
        """(buffer, first row) of a job's weights; loaded with the next ones' where they are few."""
        if job not in self.weights:
            together, rows = self.loads.pop(0), self.config.rows
            assert together[0] is job
            buffer = Buffer(Memory.WEIGHT, sum(each.tiles for each in together) * rows)
            row = 0
            for each in together:
                self.weights[each] = buffer, row
                row += each.tiles * rows
            size = buffer.rows * self.config.columns
            self.emitter.load_bytes(buffer, self.weight_address, size)
            self.weight_address += size
        return self.weights.pop(job)

    def load_input(self, last: int) -> None:
        """Channel rows up to `last`, unless they are there."""
        while self.unloaded and self.unloaded[0].first < last:
            span, rows = self.unloaded.pop(0), self.config.rows
            channels = Span(span.first * rows, min(span.last * rows, self.cut.source.depth))
            transfer = self.cut.source.transfer(self.lines, self.pixels, channels)
            self.emitter.load(self.input, transfer, span.first, self.cut.channel_rows)

    def convolve(self, job: Job, sums: Place) -> None:
        """A job whose sums lie at `sums`."""
        cut, config, tile, piece = self.cut, self.config, self.tile, job.piece
        weights, row = self.load_weights(job)
        self.load_input(piece.channels.last)
        vertical, horizontal = cut.axes
        entry, offset = self.layer.entries[job.blocks.first]
        carry, first_channel = int(piece.first_tile > 0), piece.channels.first
        pixels, used = len(self.lines) * len(self.pixels), job.tiles * config.rows
        count = tile.positions * len(job.blocks)
        accesses = [
            Access(self.input, first_channel, pixels, cut.channel_rows, len(piece.channels)),
            Access(weights, row, 1, used, used),
            Access(sums.buffer, sums.offset, 1, count, count, write=True),
        ]
        if carry:
            accesses.append(Access(sums.buffer, sums.offset, 1, count, count))
        if not carry or config.weight_zero_points:
            accesses.append(Access(entry, offset, 1, len(job.blocks), len(job.blocks)))
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
                "further_blocks": len(job.blocks) - 1,
            },
            {
                "input_row": Place(self.input, first_channel),
                "weight_row": Place(weights, row),
                "accumulator_row": sums,
                "parameters": Place(entry, offset),
            },
            tuple(accesses),
        )
