"""The post-process unit: REQUANTIZE, REDUCE, DEPTHWISE, ADDER, COUNTERS, a position per cycle through the column lanes.

Where columns share a lane, results come so many cycles apart.

What becomes of a position is computed when its rows are read; its codes then wait for the cycles in which the lanes
look them up in their tables and in which their row is written.
"""

from __future__ import annotations

from ...instructions import Error, Opcode, Unit
from ...timing import WINDOW_SETUP_CYCLES
from ..array.pipeline import bank_bit
from ..compiled import compiled, copy
from ..state import State
from . import depthwise_chain, depthwise_walk
from .post_process_lanes import deliver, fetch, load_parameters, read
from .reduce_walk import advance, start

IDLE, DECODE, PREPARE, START, FILL, RUN, DRAIN = range(7)
"""States: nothing to do; set the settings; multiply the strides; go to the first position; look at it; issue a position
and look at the next one; wait for the last result's row."""
_UNIT = int(Unit.POST_PROCESS)
_REQUANTIZE, _REDUCE, _ADDER = int(Opcode.REQUANTIZE), int(Opcode.REDUCE), int(Opcode.ADDER)
_DEPTHWISE = int(Opcode.DEPTHWISE)
_ADDRESS = int(Error.ADDRESS)


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
    if r.fetches:
        fetch(s, r.fetched_row)
        r.fetches = 0
    if r.issued:
        read(s, (now - 1) % len(p.flight))
        r.issued = 0
    p.flight[now % len(p.flight)] = 0
    depthwise = r.opcode == _DEPTHWISE
    if depthwise:
        depthwise_chain.step(s, now)
        depthwise_chain.idle(s)

    state, prepare = r.state, r.prepare
    following, turns = state, r.turns
    r.prepare, r.turns = max(prepare - 1, 0), max(turns - 1, 0)
    if state == DECODE:
        following = _decode(s)
    elif state == PREPARE:
        if prepare == 1:
            following = START
    elif state == START:
        if depthwise:
            depthwise_walk.start(s)
        else:
            start(s)
        following = FILL
    elif state == FILL:
        load_parameters(s)
        if depthwise:
            depthwise_chain.load_parameters(s)
            depthwise_walk.advance(s)
        else:
            advance(s)
        following = RUN
    elif state == RUN and depthwise:
        following = _run_depthwise(s, now, halt)
    elif state == RUN:
        c = p.candidate[0]
        if c.illegal:
            if not halt:
                port.fault, port.fault_code, port.fault_index = 1, _ADDRESS, r.index
            r.aborted = 1
            following = DRAIN
        elif not halt and _fetch(s) and not (c.result and turns):
            port.work, r.fetched = 1, 0
            r.issued, r.issued_first, r.issued_valid, r.issued_result = 1, c.first, c.valid, c.result
            r.issued_operand = c.operand
            if c.result:
                r.turns = s.config[0].lane_columns - 1
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
        r.aborted, r.fetched = 1, 0
        following = DRAIN
    r.state = following


@compiled
def _run_depthwise(s: State, now: int, halt: int) -> int:
    """A cycle of a DEPTHWISE in RUN; returns the next state."""
    p, port, config = s.post_process, s.ports[_UNIT], s.config[0]
    r, c = p.registers[0], s.depthwise.candidate[0]
    if c.illegal:
        if not halt:
            port.fault, port.fault_code, port.fault_index = 1, _ADDRESS, r.index
        r.aborted = 1
        return DRAIN
    if halt:
        return RUN
    port.work = 1
    depthwise_chain.issue(s)
    if c.result:
        r.drained = now + config.depthwise_delay + len(p.flight) - 1
    elif c.begin:
        r.drained = max(r.drained, now + config.depthwise_delay + 1)
    last = c.last
    depthwise_walk.advance(s)
    return DRAIN if last else RUN


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
    elif r.opcode == _DEPTHWISE:
        f = p.depthwise[0]
        r.entry, r.table, r.lanes = f.parameters, f.table, f.lanes
        r.zero_point, r.y_min, r.y_max, r.stride = f.zero_point, f.y_min, f.y_max, f.output_stride
        r.prepare = WINDOW_SETUP_CYCLES
        return PREPARE
    else:
        r.stride = 1
    return START


@compiled
def _fetch(s: State) -> bool:
    """Whether the candidate's sums are read in the next cycle, or have been; CONVOLVE may read their bank then."""
    p = s.post_process
    r, row = p.registers[0], p.candidate[0].sums
    if r.opcode == _REQUANTIZE and not r.fetched and not s.convolve.registers[0].bank_reads & bank_bit(row):
        r.fetches, r.fetched, r.fetched_row = 1, 1, row
    return bool(r.opcode != _REQUANTIZE or r.fetched)
