"""LOAD: external memory → scratchpads, parameters and tables; twin of `rtl/transfer/load_unit.py`."""

from __future__ import annotations

from ...instructions import DEPTHWISE_WORDS, PARAMETER_ENTRIES, PARAMETER_PITCH, PARAMETER_ROWS, Error, Target, Unit
from ...timing import LOAD_WRITE_DELAY
from ..compiled import compiled, copy
from ..state import State
from ..state.load import SLOTS
from .bursts import (
    ASKS,
    FAULT,
    NOTHING,
    next_overlap,
    row_ends,
    start_bursts,
    start_overlaps,
    step_bursts,
    stop_bursts,
    word_ends,
)

_LOAD, _LOAD_GRANT, _LOAD_OWNER = int(Unit.LOAD), 2, 1
_ADDRESS, _BUS = int(Error.ADDRESS), int(Error.BUS)
_ACTIVATION, _WEIGHT, _OPERAND, _PARAMETER, _TABLE, _DEPTHWISE = (int(t) for t in Target)


@compiled
def ready(s: State) -> bool:
    """Whether an instruction can be taken."""
    r = s.load.registers[0]
    return not (r.walking or r.pending or r.stopped)


@compiled
def r_ready(s: State) -> bool:
    """Whether a beat of this unit would be taken."""
    r = s.load.registers[0]
    return bool(r.dropping or (r.moving and word_ends(s.load.overlaps[0])))


@compiled
def _lanes(s: State, target: int) -> int:
    return int(s.config[0].rows if target == _ACTIVATION else s.config[0].columns)


@compiled
def _depth(s: State, target: int) -> int:
    config = s.config[0]
    if target == _ACTIVATION:
        return int(config.activation_depth)
    if target == _WEIGHT:
        return int(config.weight_depth)
    if target == _OPERAND:
        return int(config.operand_depth)
    if target == _DEPTHWISE:
        return int(DEPTHWISE_WORDS * config.depthwise_pitch)
    return PARAMETER_ENTRIES * PARAMETER_PITCH if target == _PARAMETER else 1 << config.activation_bits


@compiled
def _write(s: State) -> None:
    """The row whose time has come."""
    r = s.load.registers[0]
    row, place, target = s.load.rows[r.writing], s.load.places[r.writing].row, s.load.places[r.writing].target
    r.writing = (r.writing + 1) % SLOTS
    lanes = _lanes(s, target)
    if target == _ACTIVATION:
        for lane in range(lanes):
            s.activation[place, lane] = row[lane]
    elif target == _WEIGHT:
        for lane in range(lanes):
            s.weight[place, lane] = row[lane]
    elif target == _OPERAND:
        for lane in range(lanes):
            s.operand[place, lane] = row[lane]
    elif target == _TABLE:
        for lane in range(lanes):
            s.table[place, lane] = row[lane]
    elif target == _DEPTHWISE:
        word, tap = place // s.config[0].depthwise_pitch, place % s.config[0].depthwise_pitch
        if tap < s.config[0].depthwise_taps:
            for lane in range(lanes):
                s.depthwise_weights[word, tap, lane] = row[lane]
    elif place % PARAMETER_PITCH < PARAMETER_ROWS + s.config[0].weight_zero_points:
        for lane in range(lanes):
            s.parameters[place // PARAMETER_PITCH, place % PARAMETER_PITCH, lane] = row[lane]


@compiled
def _overlap(s: State) -> bool:
    """Bytes of the beat on the bus go into the row in the making; whether they are the instruction's last."""
    r, o, bus_bytes = s.load.registers[0], s.load.overlaps[0], s.config[0].bus_bytes
    row, target = s.load.rows[r.making], s.load.current[0].target
    if o.lane == 0:
        for lane in range(len(row)):
            row[lane] = 0
    first = bus_bytes - o.word_left
    for k in range(min(o.word_left, o.row_left)):
        row[o.lane + k] = s.read_data[first + k]
    if row_ends(o):
        s.load.places[r.making].row, s.load.places[r.making].target = o.place, target
        r.making = (r.making + 1) % SLOTS
        r.complete |= 1
    return not next_overlap(o, s.load.current[0], bus_bytes, _lanes(s, target))


@compiled
def _follow(s: State) -> None:
    """The instruction whose bursts are asked for has its beats after those of the current one."""
    r = s.load.registers[0]
    copy(s.load.next_raw, s.load.raw)
    r.pending, r.waiting, r.fresh, r.next_index = 0, 1, 1, r.index


@compiled
def _enter(s: State) -> None:
    """Beats of the instruction that waits for them are the next ones."""
    r = s.load.registers[0]
    copy(s.load.current_raw, s.load.next_raw)
    r.waiting, r.moving, r.current_index = 0, 1, r.next_index
    start_overlaps(s.load.overlaps[0], s.load.current[0], s.config[0].bus_bytes, _lanes(s, s.load.current[0].target))


@compiled
def rests(s: State) -> bool:
    """Whether a cycle changes nothing."""
    r, walk, port = s.load.registers[0], s.load.bursts[0], s.ports[_LOAD]
    own = r.walking | r.start | r.pending | r.waiting | r.moving | r.owed | r.stepped | r.complete | r.last
    shown = port.busy | port.fault | s.issue[_LOAD].take | walk.walking | walk.more | s.bus[0].load_request
    return not (own | shown) and r.halted == s.control[0].halt


@compiled
def step(s: State) -> None:
    """One cycle."""
    if rests(s):
        return
    r, walk, fields = s.load.registers[0], s.load.bursts[0], s.load.fields[0]
    bus, port, control = s.bus[0], s.ports[_LOAD], s.control[0]
    mine = bus.r_valid and bus.r_owner == _LOAD_OWNER and r.moving and not r.dropping
    refused = mine and bus.r_error
    over = control.halt or refused
    stopped, walk_busy = r.stopped, walk.walking or walk.more or bus.load_request

    r.complete <<= 1
    r.last <<= 1
    if r.complete >> LOAD_WRITE_DELAY & 1:
        _write(s)
        r.complete &= (1 << LOAD_WRITE_DELAY) - 1
    port.work = 1 if mine and not refused else 0
    if bus.r_valid and bus.r_owner == _LOAD_OWNER and bus.r_ready and bus.r_last:
        r.owed -= 1
    for k in range(LOAD_WRITE_DELAY - 1, 0, -1):
        s.load.endings[k].index, s.load.endings[k].signals = s.load.endings[k - 1].index, s.load.endings[k - 1].signals
    s.load.endings[0].index, s.load.endings[0].signals = r.current_index, s.load.current[0].signal
    port.fault_index = r.current_index
    ends = port.work and _overlap(s)
    if ends:
        r.last |= 1
        r.moving = 0
    port.finished = r.last >> (LOAD_WRITE_DELAY - 1) & 1
    r.last &= (1 << (LOAD_WRITE_DELAY - 1)) - 1

    event = NOTHING
    if not bus.load_request and not over:
        lanes, depth = _lanes(s, fields.target), _depth(s, fields.target)
        event = step_bursts(walk, fields, s.config[0].bus_bytes, lanes, depth, control.memory_bytes)
    if bus.grant == _LOAD_GRANT:
        r.owed += 1
        bus.load_request = 0
    elif over:
        bus.load_request = 0
    elif event == ASKS:
        bus.load_request, bus.load_address, bus.load_beats = 1, walk.burst, walk.beats
    port.fault = 1 if (event == FAULT or refused) and not stopped else 0
    port.fault_code = _BUS if refused else _ADDRESS
    if event == FAULT:
        port.fault_index = r.index
    ending = s.load.endings[LOAD_WRITE_DELAY - 1]
    port.finished_index, port.signals = ending.index, ending.signals
    if event == FAULT or refused:
        r.stopped = 1
    if refused:
        r.dropping = 1
    if r.start and not stopped:
        start_bursts(walk, fields)
    if over:
        stop_bursts(walk)
    follows, enters = r.pending and not r.waiting, r.waiting and not r.fresh and not r.moving
    r.fresh = 0
    if enters:
        _enter(s)
    if follows:
        _follow(s)

    if not r.start and not walk_busy:
        r.walking = 0
    r.start, r.halted = 0, control.halt
    if s.issue[_LOAD].take:
        copy(s.load.raw, s.issue_fields[_LOAD])
        r.index, r.start, r.walking, r.pending = s.issue[_LOAD].index, 1, 1, 1
    busy = (r.walking or r.pending or r.waiting or r.moving) and not r.halted
    port.busy = 1 if busy or r.owed or r.stepped or port.work or port.finished else 0
    r.stepped = (r.stepped << 1 | port.work) & 3
