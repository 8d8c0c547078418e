"""The post-process unit: REQUANTIZE, REDUCE, DEPTHWISE, ADDER, COUNTERS, a position per cycle through the column lanes.

Where columns share a lane, results come so many cycles apart.

What becomes of a position is computed when its rows are read; its codes then wait for the cycles in which the lanes
look them up in their tables and in which their row is written.
"""

from __future__ import annotations

from ...instructions import PARAMETER_ENTRIES, Error, Opcode, Unit
from ...timing import WINDOW_SETUP_CYCLES
from ..array.pipeline import bank_bit
from ..compiled import compiled, copy
from ..state import State
from ..state.post_process import ABORTED, ENDED
from . import depthwise_chain, depthwise_walk
from .post_process_lanes import deliver, end_instruction, fetch, finish, fly, load_parameters, read
from .reduce_walk import advance, counter_row, start

IDLE, DECODE, PREPARE, START, FILL, RUN, ADD, AGAIN = range(8)
"""States: nothing to take up; look at the instruction; wait for strides and for the instruction before; go to the first
position; look at it; issue a position and look at the next one; end an ADDER; go on with a REQUANTIZE's next part."""
_UNIT = int(Unit.POST_PROCESS)
_REQUANTIZE, _REDUCE, _ADDER = int(Opcode.REQUANTIZE), int(Opcode.REDUCE), int(Opcode.ADDER)
_DEPTHWISE = int(Opcode.DEPTHWISE)
_COUNTERS, _ADDRESS = int(Opcode.COUNTERS), int(Error.ADDRESS)
_MOST = 2
"""Instructions under way: one that issues, and one whose results are on their way."""


@compiled
def ready(s: State) -> bool:
    """Whether the unit takes an instruction in this cycle."""
    return bool(s.post_process.registers[0].state == IDLE)


@compiled
def rests(s: State) -> bool:
    """Whether a cycle without an instruction changes nothing."""
    r = s.post_process.registers[0]
    return not (r.state | r.under_way | s.ports[_UNIT].busy) and r.halt == s.control[0].halt


@compiled
def step(s: State) -> None:
    """One cycle."""
    p, port = s.post_process, s.ports[_UNIT]
    r = p.registers[0]
    halt, r.halt = r.halt, s.control[0].halt
    port.finished = 0
    port.fault = 0
    port.work = 0
    state, under_way = r.state, r.under_way
    if state == IDLE and not under_way:
        port.busy = 0
        if s.issue[_UNIT].take:
            _take(s)
        return
    port.busy = 1
    now = r.now
    r.now = now + 1
    deliver(s, now)
    if r.fetches:
        fetch(s, r.fetched_row)
        r.fetches = 0
    if r.issued:
        read(s, (now - 1) % len(p.flight))
        r.issued = 0
    p.flight[now % len(p.flight)] = p.ends[now % len(p.flight)] = 0
    if s.config[0].depthwise_taps and now <= r.chained:
        depthwise_chain.step(s, now)
        depthwise_chain.idle(s)

    prepare, turns = r.prepare, r.turns
    r.prepare, r.turns = max(prepare - 1, 0), max(turns - 1, 0)
    if state == IDLE and s.issue[_UNIT].take:
        _take(s)
    elif state == DECODE:
        window = r.taken == _REDUCE or r.taken == _DEPTHWISE
        if window:
            r.prepare = WINDOW_SETUP_CYCLES
        r.state = PREPARE if window or _blocked(s, now, under_way) else START
    elif state == PREPARE:
        if prepare <= 1 and not _blocked(s, now, under_way):
            r.state = START
    elif state == START:
        _begin(s)
        r.under_way += 1
        r.state = FILL
    elif state == FILL:
        if r.opcode != _ADDER:
            _fill(s)
        r.state = ADD if r.opcode == _ADDER else RUN
    elif state == RUN:
        r.state = _run(s, now, halt, turns)
    elif state == AGAIN:
        _go_on(s)
        r.state = DECODE
    elif state == ADD:
        finish(s, r.index, r.signal)
        r.under_way -= 1
        r.state = IDLE
    if halt and DECODE <= state <= PREPARE:
        r.state = IDLE


@compiled
def _take(s: State) -> None:
    """Take an instruction."""
    p = s.post_process
    r = p.registers[0]
    copy(p.raw, s.issue_fields[_UNIT])
    r.taken, r.taken_index = s.issue[_UNIT].opcode, s.issue[_UNIT].index
    r.block, r.between = 0, 0
    r.state, s.ports[_UNIT].busy = DECODE, 1


@compiled
def _continues(s: State) -> bool:
    """Whether the part of a REQUANTIZE that is under way is not its last one."""
    p = s.post_process
    r = p.registers[0]
    own = r.between or r.taken == _REQUANTIZE
    return bool(own and r.block < p.requantize[0].further_blocks)


@compiled
def _go_on(s: State) -> None:
    """The next part of a REQUANTIZE: a block's counters, or the next block."""
    r = s.post_process.registers[0]
    if r.between or not s.config[0].counters:
        r.between, r.taken = 0, _REQUANTIZE
        r.block += 1
    else:
        r.between, r.taken = 1, _COUNTERS


@compiled
def _blocked(s: State, now: int, under_way: int) -> bool:
    """Whether the instruction that was taken has to wait for those before it."""
    r = s.post_process.registers[0]
    if r.aborted or under_way == _MOST or (under_way and r.taken == _ADDER):
        return True
    return bool(now < (r.counted if r.taken == _COUNTERS else r.settled))


@compiled
def _fill(s: State) -> None:
    """Take parameters; the first position becomes the candidate."""
    load_parameters(s)
    if s.post_process.registers[0].opcode == _DEPTHWISE:
        depthwise_chain.load_parameters(s)
        depthwise_walk.advance(s)
    else:
        advance(s)


@compiled
def _run(s: State, now: int, halt: int, turns: int) -> int:
    """A cycle in which a position is issued, if it can be; returns the next state."""
    p, port = s.post_process, s.ports[_UNIT]
    r, c = p.registers[0], p.candidate[0]
    depthwise = r.opcode == _DEPTHWISE
    illegal = s.depthwise.candidate[0].illegal if depthwise else c.illegal
    if illegal or halt:
        if not halt:
            port.fault, port.fault_code, port.fault_index = 1, _ADDRESS, r.index
        r.aborted, r.fetched = 1, 0
        if depthwise:
            depthwise_chain.idle(s)
            s.depthwise.issued[0].ends = ABORTED
            r.chained = now + s.config[0].depthwise_delay
        else:
            end_instruction(s, now, ABORTED)
        return IDLE
    if depthwise:
        return _run_depthwise(s, now)
    if not _fetch(s) or (c.result and turns):
        return RUN
    port.work, r.fetched = 1, 0
    r.issued, r.issued_first, r.issued_valid, r.issued_result = 1, c.first, c.valid, c.result
    r.issued_operand = c.operand
    last = c.last
    if c.result:
        r.turns = s.config[0].lane_columns - 1
        fly(s, now)
    if last:
        end_instruction(s, now, ENDED)
    advance(s)
    if not last:
        return RUN
    return AGAIN if _continues(s) else IDLE


@compiled
def _run_depthwise(s: State, now: int) -> int:
    """A cycle of a DEPTHWISE in RUN; returns the next state."""
    r, last = s.post_process.registers[0], s.depthwise.candidate[0].last
    s.ports[_UNIT].work = 1
    depthwise_chain.issue(s, ENDED if last else 0)
    r.chained = now + s.config[0].depthwise_delay
    r.settled, r.counted = max(r.settled, r.chained + 2), max(r.counted, r.chained + 2)
    depthwise_walk.advance(s)
    return IDLE if last else RUN


@compiled
def _begin(s: State) -> None:
    """Settings of the instruction that was taken; go to its first position."""
    p = s.post_process
    r = p.registers[0]
    r.opcode, r.index, r.signal = r.taken, r.taken_index, 0 if _continues(s) else p.requantize[0].signal
    r.counter_row = 0
    if r.opcode == _ADDER:
        copy(p.adder_raw, p.raw)
        return
    r.add, r.table, r.operands, r.lanes = 0, 0, 0, 0
    if r.opcode == _REQUANTIZE:
        q = p.requantize[0]
        r.entry = (q.parameters + r.block) % PARAMETER_ENTRIES
        r.add, r.table, r.operands, r.lanes = q.add, q.table, q.add, q.lanes
        r.zero_point, r.y_min, r.y_max, r.stride = q.zero_point, q.y_min, q.y_max, q.output_stride
        r.row = q.output_row + r.block
    elif r.opcode == _REDUCE:
        d = p.reduce[0]
        r.entry, r.add, r.table, r.operands, r.lanes = d.parameters, d.add, d.table, 1, d.lanes
        r.zero_point, r.y_min, r.y_max, r.row, r.stride = d.zero_point, d.y_min, d.y_max, d.output_row, d.output_stride
    elif r.opcode == _DEPTHWISE:
        f = p.depthwise[0]
        r.entry, r.table, r.lanes, r.input_zero_point = f.parameters, f.table, f.lanes, f.input_zero_point
        r.zero_point, r.y_min, r.y_max, r.row, r.stride = f.zero_point, f.y_min, f.y_max, f.output_row, f.output_stride
        depthwise_walk.start(s)
        return
    else:
        r.row, r.stride = counter_row(s), 1
    start(s)


@compiled
def _fetch(s: State) -> bool:
    """Whether the candidate's sums are read in the next cycle, or have been; CONVOLVE may read their bank then."""
    p = s.post_process
    r, row = p.registers[0], p.candidate[0].sums
    if r.opcode == _REQUANTIZE and not r.fetched and not s.convolve.registers[0].bank_reads & bank_bit(row):
        r.fetches, r.fetched, r.fetched_row = 1, 1, row
    return bool(r.opcode != _REQUANTIZE or r.fetched)
