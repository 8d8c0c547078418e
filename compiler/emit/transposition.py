"""Matrices in memory transposed by the lanes' tables, a block of codes at a time.

LOAD and STORE move rows of bytes, and no lane sees another one's. But a table's row has a code for each lane, and each
lane looks up the row that its own code names. So rows of the matrix are loaded as the table, each of them a code
further to the right than the one before, which is a pixel stride of a byte less: then what comes down a lane is an
antidiagonal of the matrix. Where lane l looks up the row l places on, the lanes have codes of one column of the matrix,
of rows that follow one another: a piece of a row of the transposed one.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from emulator.instructions import Mode, Opcode
from emulator.program import Region

from .copy import emit_copy
from .cut.output_room import output_room
from .cut.tiling import Span, spans
from .emitter import Emitter
from .schedule.operation import Access, Buffer, Memory, Place, Transfer


class Transposition:
    """The transposed copy of a matrix of `rows` rows, `step` bytes apart, of `columns` codes side by side.

    Code (row, column) of the matrix comes to `address` + column · `pitch` + row. Around each row of the copy there is
    room for what the lanes find beside the matrix.
    """

    def __init__(self, emitter: Emitter, source: int, rows: int, step: int, columns: int) -> None:
        self.emitter, self.source, self.rows, self.step, self.columns = emitter, source, rows, step, columns
        config = emitter.config
        table = 1 << config.arithmetic.activation_bits
        self.lanes = min(config.columns, table // 2)
        room = min(table - self.lanes + 1, config.operand_depth // 2, output_room(config, False))
        self.most = max(min(room, columns), 1)
        bus = config.bus_bytes
        before = -(-self.lanes // bus) * bus
        self.pitch = -(-(rows + self.lanes) // bus) * bus
        self.address = emitter.reserve(before + columns * self.pitch + self.lanes) + before

    def emit(self) -> None:
        """Emit the copy, some antidiagonals at a time, of each of them some columns."""
        self.places = self.lookups()
        self.zeros = self.emitter.constant(np.zeros(self.lanes, np.int8))
        self.entry = self.emitter.uniform_parameters(1, 0)
        for first in range(0, self.rows + self.columns - 1, self.lanes):
            met = Span(max(0, first - self.rows + 1), min(self.columns, first + self.lanes))
            for columns in spans(len(met), self.most, met.first):
                self.emitter.begin_block()
                self.store(first, columns, self.look_up(columns, self.load_table(first, columns)))

    def lookups(self) -> Buffer:
        """Codes of the table's rows that the lanes look up: for the last column from row 0 on, then from row 1 on."""
        config = self.emitter.config
        low = config.arithmetic.activation_range[0]
        rows = np.full((self.most, config.columns), low, np.int8)
        rows[:, : self.lanes] += (np.arange(self.lanes) + np.arange(self.most)[::-1, None]).astype(np.int8)
        buffer = Buffer(Memory.OPERAND, self.most)
        self.emitter.load_bytes(buffer, self.emitter.constant(rows), rows.size)
        return buffer

    def load_table(self, first: int, columns: Span) -> Buffer:
        """The rows of the matrix that antidiagonals from `first` on meet in these columns; zeros beyond its ends."""
        table = Buffer(Memory.TABLE, 1)
        lowest, end = first - columns.last + 1, first - columns.first + self.lanes
        top, bottom = max(lowest, 0), min(end, self.rows)
        address = self.source + top * (self.step - 1) + first
        self.load_rows(table, top - lowest, Transfer(address, 1, 0, bottom - top, self.step - 1, self.lanes), False)
        for row, count in ((0, top - lowest), (bottom - lowest, end - bottom)):
            if count:
                self.load_rows(table, row, Transfer(self.zeros, 1, 0, count, 0, self.lanes), True)
        return table

    def load_rows(self, table: Buffer, row: int, transfer: Transfer, constant: bool) -> None:
        """One LOAD of rows of the table."""
        access = Access(table, 0, 1, 1, 1, write=True)
        self.emitter.load_placed(transfer, 1, Place(table, row), access, constant)

    def look_up(self, columns: Span, table: Buffer) -> Buffer:
        """A row of the copy from each of these columns."""
        count, low_high = len(columns), self.emitter.config.arithmetic.activation_range
        output = Buffer(Memory.OUTPUT, count)
        first = self.most - count
        ones = (
            "output_height", "kernel_height", "kernel_width", "input_height", "stride_height", "stride_width",
            "dilation_height", "dilation_width", "pixel_rows", "output_stride", "table",
        )  # fmt: skip
        zeros = ("pad_top", "pad_left", "input_zero_point", "second_zero_point", "zero_point", "add", "lanes")
        self.emitter.emit(
            Opcode.REDUCE,
            {
                **dict.fromkeys(ones, 1),
                **dict.fromkeys(zeros, 0),
                "output_width": count,
                "input_width": count,
                "mode": int(Mode.FIRST),
                "y_min": low_high[0],
                "y_max": low_high[1],
            },
            {
                "input_row": Place(self.places, first),
                "output_row": Place(output),
                "parameters": Place(self.entry),
            },
            (
                Access(self.entry, 0, 1, 1, 1),
                Access(table, 0, 1, 1, 1),
                Access(self.places, first, 1, count, count),
                Access(output, 0, 1, count, count, write=True),
            ),
        )
        return output

    def store(self, first: int, columns: Span, output: Buffer) -> None:
        """Each of these columns' codes on antidiagonals from `first` on; what lies beyond the matrix goes beside it."""
        address = self.address + columns.first * (self.pitch - 1) + first
        self.emitter.store(output, Transfer(address, 1, 0, len(columns), self.pitch - 1, self.lanes))


LEAST = 8
"""Rows and columns of a matrix, and lanes, from which on it is transposed so; fewer codes are copied one by one."""
MATRICES_MOST = 64
"""Matrices of a tensor that are transposed so, one after the other."""


def emit_transposed(emitter: Emitter, source: Region, steps: tuple[int, ...], target: Region) -> bool:
    """`emit_copy`, if the source's codes lie side by side along another axis than the target's; whether they do."""
    axes = list(zip(target.tensor.shape, steps, target.steps, strict=True))
    rows, row_step, last = axes.pop()
    beside = [index for index, (size, step, _) in enumerate(axes) if step == 1 and size >= LEAST]
    if last != 1 or row_step == 1 or rows < LEAST or not beside or emitter.config.columns < LEAST:
        return False
    columns, _, column_step = axes.pop(beside[0])
    if math.prod(size for size, _, _ in axes) > MATRICES_MOST:
        return False
    shape = replace(target.tensor, shape=(columns, rows))
    for indices in np.ndindex(*(size for size, _, _ in axes)):
        start, end = (
            address + sum(index * axis[side] for index, axis in zip(indices, axes, strict=True))
            for side, address in ((1, source.address), (2, target.address))
        )
        made = Transposition(emitter, start, rows, row_step, columns)
        made.emit()
        emit_copy(emitter, Region(made.address, shape), (made.pitch, 1), Region(end, shape, (column_step, 1)))
    return True
