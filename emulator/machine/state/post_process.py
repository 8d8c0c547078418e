"""The post-process unit's registers, and results on their way."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...config import AcceleratorConfig
from ...instructions import Opcode
from ...timing import output_delay
from ..compiled import MAX_FIELDS, fields_record
from .records import Records, record
from .reduce_walk import CANDIDATE, WALK

REGISTERS = record(
    "state",
    "taken",  # opcode of the instruction that was taken last
    "opcode",  # of the one that was begun last; the same of what follows
    "index",
    "signal",
    "taken_index",
    "block",  # column block of a REQUANTIZE
    "between",  # its counters are stored before the next one
    "now",  # cycles in which something was under way
    "halt",  # that of the cycle before
    "prepare",  # cycles until the strides are there
    "aborted",  # an instruction was broken off: none begins until the next run
    "turns",  # of columns that share a lane and have theirs for the last result yet to come
    "under_way",  # instructions that have begun and not ended
    "settled",  # the `now` from which on the next instruction may begin, and COUNTERS
    "counted",
    "chained",  # the `now` until which sums are in the chains
    "entry",  # settings: parameter entry, whether codes are read, go through adder and table
    "operands",
    "add",
    "table",
    "lanes",  # so many lanes count
    "input_zero_point",
    "zero_point",
    "y_min",
    "y_max",
    "stride",  # of the output rows
    "row",  # output row of the next result
    "issued",  # the position at lane 0
    "issued_first",
    "issued_valid",
    "issued_result",
    "issued_operand",
    "fetched",  # the candidate's sums have been read
    "fetches",  # accumulator row `fetched_row` is read
    "fetched_row",
    "counter_row",
)
RESULT, LOOKED_UP = 1, 2
"""Bits of `flight`: there is a result; it goes through the tables."""
ENDED, ABORTED = 1, 2
"""Values of `ends`: an instruction has ended, whose last result this is; it was broken off."""


class PostProcess(NamedTuple):
    """Registers.

    raw, requantize, reduce, counters, depthwise : the instruction's fields, under each format
    adder_raw, adder : what the last ADDER set
    operand, held (columns) : what a window has gathered; its first difference
    sums, overflowed (columns) : the accumulator row read last
    multiplier, shift (columns) : the parameters in use
    codes (cycles, columns), flight, rows (cycles) : results on their way, by the cycle of their issue; their rows
    ends, ended_index, ended_signal (cycles) : and what ends with them
    """

    registers: Records
    candidate: Records
    walk: Records
    raw: NDArray[np.int64]
    requantize: Records
    reduce: Records
    counters: Records
    depthwise: Records
    adder_raw: NDArray[np.int64]
    adder: Records
    operand: NDArray[np.int64]
    held: NDArray[np.int64]
    sums: NDArray[np.int64]
    overflowed: NDArray[np.uint8]
    multiplier: NDArray[np.int64]
    shift: NDArray[np.int64]
    codes: NDArray[np.int8]
    flight: NDArray[np.uint8]
    rows: NDArray[np.int64]
    ends: NDArray[np.uint8]
    ended_index: NDArray[np.int64]
    ended_signal: NDArray[np.int64]


def allocate(config: AcceleratorConfig) -> PostProcess:
    """The unit with nothing to do."""
    raw, adder = np.zeros(MAX_FIELDS, np.int64), np.zeros(MAX_FIELDS, np.int64)
    columns, cycles = config.columns, output_delay(config) + 1
    return PostProcess(
        registers=np.zeros(1, REGISTERS),
        candidate=np.zeros(1, CANDIDATE),
        walk=np.zeros(1, WALK),
        raw=raw,
        requantize=fields_record(raw, Opcode.REQUANTIZE),
        reduce=fields_record(raw, Opcode.REDUCE),
        counters=fields_record(raw, Opcode.COUNTERS),
        depthwise=fields_record(raw, Opcode.DEPTHWISE),
        adder_raw=adder,
        adder=fields_record(adder, Opcode.ADDER),
        operand=np.zeros(columns, np.int64),
        held=np.zeros(columns, np.int64),
        sums=np.zeros(columns, np.int64),
        overflowed=np.zeros(columns, np.uint8),
        multiplier=np.zeros(columns, np.int64),
        shift=np.zeros(columns, np.int64),
        codes=np.zeros((cycles, columns), np.int8),
        flight=np.zeros(cycles, np.uint8),
        rows=np.zeros(cycles, np.int64),
        ends=np.zeros(cycles, np.uint8),
        ended_index=np.zeros(cycles, np.int64),
        ended_signal=np.zeros(cycles, np.int64),
    )
