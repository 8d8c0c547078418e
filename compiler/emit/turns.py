"""Layers of few output positions: column blocks take turns on the array, tile by tile.

With fewer positions than a sum takes through the array, each tile of a block would wait for the sums of the one before.
With another block's tile in between it need not: such a layer, whose weights are used once, is as fast as the bus
brings them. Each two blocks are finished before the next ones begin, so that post-processing and STOREs come along. The
first ones begin together with what is there of K, while the layer before stores the last pieces of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from emulator.graph import Codes
from emulator.instructions import PARAMETER_ENTRIES, Opcode

from .convolution import ConvolutionEmitter
from .cut.column_blocks import weight_tiles, weight_zero_points
from .cut.tiling import Span
from .cut.turns_cut import Job, TurnsCut, takes_turns
from .schedule.operation import Access, Buffer, Memory, Place


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
        ends = layer.post.node is layer.emitter.graph.nodes[-1]
        self.turns = TurnsCut(layer.cut, layer.follows, ends)
        self.tile, self.lines, self.pixels = self.turns.tile, self.turns.lines, self.turns.pixels
        self.input = Buffer(Memory.ACTIVATION, len(self.lines) * len(self.pixels) * self.cut.channel_rows)
        self.unloaded, self.loads = list(self.turns.input_pieces), list(self.turns.loads)
        self.sums = Buffer(Memory.ACCUMULATOR, 0)
        self.weights: dict[Job, tuple[Buffer, int]] = {}

    def emit(self) -> None:
        """Emit the layer."""
        self.emitter.prepare(self.layer.post)
        rows, columns = self.config.rows, self.config.columns
        blocks, node = self.cut.blocks, self.node
        tiles = [weight_tiles(block, rows, columns) for block in blocks]
        data = [self.job_weights(job, tiles).reshape(-1) for jobs in self.turns.jobs.values() for job in jobs]
        self.weight_address = self.emitter.constant(np.concatenate(data))
        lanes = [slice(block.outputs.first, block.outputs.last) for block in blocks]
        values = node.bias, node.multiplier, node.shift, weight_zero_points(node)
        entries = [self.emitter.parameter_data(*(value[lane] for value in values)) for lane in lanes]
        self.parameter_address = self.emitter.constant(np.stack(entries))
        for group in self.turns.stored:
            self.emit_group(group)
        if self.tile.positions == 1:
            ends = [blocks[group[-1].last - 1].outputs.last for group in self.turns.stored]
            self.emitter.stored_blocks[self.layer.post.node.name] = tuple(ends)

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
        emitter.begin_block()
        if self.turns.ends and group is self.turns.stored[-1]:
            emitter.store_counters()  # few are left for the end
        for turn in group:
            sums = self.convolve_turn(turn)
            if cut.operand is not None and operand is None:
                operand = Buffer(Memory.OPERAND, positions * count)
                emitter.load(operand, cut.operand.transfer(tile.rows, tile.columns, channels))
            for run in self.turns.requantized(turn):
                block = replace(sums, offset=sums.offset + (run.first - turn.first) * positions)
                place = run.first - first
                self.layer.requantize(tile, run.first, block, output, operand, place, count, blocks=len(run))
                if run.last == last:
                    emitter.store(output, cut.target.transfer(tile.rows, tile.columns, channels))
                emitter.count(*self.layer.counter_block(run.last - 1))

    def convolve_turn(self, turn: Span) -> Place:
        """All jobs of a turn; where the sums of its blocks lie."""
        together = self.turns.head if turn.last <= self.turns.head.last else turn
        positions = self.tile.positions
        if turn.first == together.first:
            self.load_parameters(together)
            self.sums = Buffer(Memory.ACCUMULATOR, positions * len(together))
        for job in self.turns.jobs[turn]:
            self.convolve(job, Place(self.sums, (job.blocks.first - together.first) * positions))
        return Place(self.sums, (turn.first - together.first) * positions)

    def load_parameters(self, turn: Span) -> None:
        """Parameter entries of a turn's blocks and of the next ones', unless they are there."""
        if turn.first in self.layer.entries:
            return
        most = turn.first + PARAMETER_ENTRIES // 2
        last = max(other.last for other in self.turns.turns if turn.first <= other.first and other.last <= most)
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
