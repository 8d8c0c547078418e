"""The post-process unit: REQUANTIZE, REDUCE, ADDER and COUNTERS, a position per cycle through the column lanes.

What becomes of a position is computed when its rows are read; its codes then wait for the cycles in which the lanes
look them up in their tables and in which their row is written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..config import AcceleratorConfig
from ..instructions import Error, Opcode, Unit
from ..timing import WINDOW_SETUP_CYCLES, output_delay
from .compiled import MAX_FIELDS, compiled, copy, fields_record
from .pipeline import bank_bit
from .post_process_lanes import deliver, load_parameters, read
from .records import Records, record
from .reduce_walk import CANDIDATE, WALK, advance, start

if TYPE_CHECKING:
    from .state import State

IDLE, DECODE, PREPARE, START, FILL, RUN, DRAIN = range(7)
"""States: nothing to do; set the settings; multiply the strides; go to the first position; look at it; issue a position
and look at the next one; wait for the last result's row."""
_UNIT = int(Unit.POST_PROCESS)
_REQUANTIZE, _REDUCE, _ADDER = int(Opcode.REQUANTIZE), int(Opcode.REDUCE), int(Opcode.ADDER)
_ADDRESS = int(Error.ADDRESS)

REGISTERS = record(
    "state",
    "opcode",
    "index",
    "now",  # cycles spent outside of IDLE
    "halt",  # that of the cycle before
    "prepare",  # cycles until the strides are there
    "aborted",
    "drained",  # the `now` in which the last result's row is written
    "entry",  # settings: parameter entry, whether codes are read, go through adder and table
    "operands",
    "add",
    "table",
    "lanes",  # so many lanes count
    "zero_point",
    "y_min",
    "y_max",
    "stride",  # of the output rows
    "row",  # output row that is written next
    "issued",  # the position at lane 0
    "issued_first",
    "issued_valid",
    "issued_result",
    "issued_operand",
    "issued_sums",
    "counter_row",
)


class PostProcess(NamedTuple):
    """Registers.

    raw, requantize, reduce, counters : the instruction's fields, under three formats
    adder_raw, adder : what the last ADDER set
    operand, held (columns) : what a window has gathered; its first difference
    multiplier, shift (columns) : the parameters in use
    codes (cycles, columns), flight (cycles) : results on their way, by the cycle of their issue
    """

    registers: Records
    candidate: Records
    walk: Records
    raw: NDArray[np.int64]
    requantize: Records
    reduce: Records
    counters: Records
    adder_raw: NDArray[np.int64]
    adder: Records
    operand: NDArray[np.int64]
    held: NDArray[np.int64]
    multiplier: NDArray[np.int64]
    shift: NDArray[np.int64]
    codes: NDArray[np.int8]
    flight: NDArray[np.uint8]


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
        adder_raw=adder,
        adder=fields_record(adder, Opcode.ADDER),
        operand=np.zeros(columns, np.int64),
        held=np.zeros(columns, np.int64),
        multiplier=np.zeros(columns, np.int64),
        shift=np.zeros(columns, np.int64),
        codes=np.zeros((cycles, columns), np.int8),
        flight=np.zeros(cycles, np.uint8),
    )


@compiled
def ready(s: State) -> bool:
    """Whether the unit takes an instruction in this cycle."""
    return bool(s.post_process.registers[0].state == IDLE)


@compiled
def step(s: State) -> None:
    """One cycle."""
    p, port = s.post_process, s.ports[_UNIT]
    r = p.registers[0]
    halt, r.halt = r.halt, s.control[0].halt
    port.finished = 0
    port.fault = 0
    port.work = 0
    if r.state == IDLE:
        port.busy = 0
        if s.issue[_UNIT].take:
            copy(p.raw, s.issue_fields[_UNIT])
            r.opcode, r.index = s.issue[_UNIT].opcode, s.issue[_UNIT].index
            r.state, r.aborted, port.busy = DECODE, 0, 1
        return
    now = r.now
    r.now = now + 1
    deliver(s, now)
    if r.issued:
        read(s, (now - 1) % len(p.flight))
        r.issued = 0
    p.flight[now % len(p.flight)] = 0

    state, prepare = r.state, r.prepare
    following = state
    r.prepare = max(prepare - 1, 0)
    if state == DECODE:
        following = _decode(s)
    elif state == PREPARE:
        if prepare == 1:
            following = START
    elif state == START:
        start(s)
        following = FILL
    elif state == FILL:
        load_parameters(s)
        advance(s)
        following = RUN
    elif state == RUN:
        c = p.candidate[0]
        if c.illegal:
            if not halt:
                port.fault, port.fault_code, port.fault_index = 1, _ADDRESS, r.index
            r.aborted = 1
            following = DRAIN
        elif not halt and not _conflict(s):
            port.work = 1
            r.issued, r.issued_first, r.issued_valid, r.issued_result = 1, c.first, c.valid, c.result
            r.issued_operand, r.issued_sums = c.operand, c.sums
            if c.result:
                p.flight[now % len(p.flight)] = 1
                r.drained = now + len(p.flight) - 1
            if c.last:
                following = DRAIN
            advance(s)
    elif now >= r.drained and prepare == 0:
        following = IDLE
        if not r.aborted:
            port.finished, port.signals, port.finished_index = 1, p.requantize[0].signal, r.index
        port.busy = 0 if r.aborted else 1
    if halt and state != DRAIN:
        r.aborted = 1
        following = DRAIN
    r.state = following


@compiled
def _decode(s: State) -> int:
    """Settings of the instruction; returns the next state."""
    p = s.post_process
    r = p.registers[0]
    r.counter_row = 0
    if r.opcode == _ADDER:
        copy(p.adder_raw, p.raw)
        return DRAIN
    r.add, r.table, r.operands, r.lanes = 0, 0, 0, 0
    if r.opcode == _REQUANTIZE:
        q = p.requantize[0]
        r.entry, r.add, r.table, r.operands, r.lanes = q.parameters, q.add, q.table, q.add, q.lanes
        r.zero_point, r.y_min, r.y_max, r.stride = q.zero_point, q.y_min, q.y_max, q.output_stride
    elif r.opcode == _REDUCE:
        d = p.reduce[0]
        r.entry, r.add, r.table, r.operands, r.lanes = d.parameters, d.add, d.table, 1, d.lanes
        r.zero_point, r.y_min, r.y_max, r.stride = d.zero_point, d.y_min, d.y_max, d.output_stride
        r.prepare = WINDOW_SETUP_CYCLES
        return PREPARE
    else:
        r.stride = 1
    return START


@compiled
def _conflict(s: State) -> bool:
    """Whether CONVOLVE reads the candidate's accumulator bank in the next cycle."""
    p = s.post_process
    if p.registers[0].opcode != _REQUANTIZE:
        return False
    return bool(s.convolve.registers[0].bank_reads & bank_bit(p.candidate[0].sums))
