"""STORE: output scratchpad → external memory; twin of `rtl/transfer/store_unit.py`."""

from __future__ import annotations

from ...bus import OUTSTANDING, WRITE_BEATS
from ...instructions import Error, Unit
from ..compiled import MAX_FIELDS, compiled
from ..state import State
from ..state.store import SLOTS
from .bursts import (
    ASKS,
    FAULT,
    NOTHING,
    burst_ends,
    next_overlap,
    start_bursts,
    start_overlaps,
    step_bursts,
    stop_bursts,
    word_ends,
)

BUFFER_CYCLES = 4
"""From the read of a beat's last row to the cycle in which the beat enters the write buffer."""
_STORE = int(Unit.STORE)
_ADDRESS, _BUS = int(Error.ADDRESS), int(Error.BUS)


@compiled
def ready(s: State) -> bool:
    """Whether an instruction can be taken."""
    return not (s.store.registers[0].active or s.store.registers[0].stopped)


@compiled
def wires(s: State) -> None:
    """The beat on the bus; the memory finds its bytes by `beat`."""
    r, bus = s.store.registers[0], s.bus[0]
    bus.w_valid = 0
    if r.level:
        made, beat = s.store.beats[r.sending], s.store.beat[0]
        bus.w_valid, bus.w_address, bus.w_last = 1, made.address, made.last
        beat.slot, beat.first, beat.end = r.sending, made.first, made.end


@compiled
def _overlap(s: State) -> None:
    """Bytes of a row go into the beat in the making."""
    r, o, bus_bytes = s.store.registers[0], s.store.overlaps[0], s.config[0].bus_bytes
    beat, size, first = s.store.beats[r.making], min(o.word_left, o.row_left), bus_bytes - o.word_left
    if not r.begun:
        beat.address, beat.first, r.begun = o.word, first, 1
    for k in range(size):
        s.store.data[r.making, first + k] = s.output[o.place, o.lane + k]
    beat.end = first + size
    if word_ends(o):
        beat.last = 1 if burst_ends(o, bus_bytes) else 0
        r.unread -= beat.last
        r.reserved += 1
        r.begun = 0
        r.making = (r.making + 1) % SLOTS
        r.complete |= 1
    next_overlap(o, s.store.fields[0], bus_bytes, s.config[0].columns)


@compiled
def rests(s: State) -> bool:
    """Whether a cycle changes nothing."""
    r, walk, port, bus = s.store.registers[0], s.store.bursts[0], s.ports[_STORE], s.bus[0]
    own = r.active | r.start | r.unread | r.level | r.complete | walk.walking | walk.more
    return not (own | port.busy | port.fault | port.work | s.issue[_STORE].take | bus.aw_valid | bus.writes_outstanding)


@compiled
def step(s: State) -> None:
    """One cycle."""
    if rests(s):
        return
    r, walk, fields = s.store.registers[0], s.store.bursts[0], s.store.fields[0]
    bus, port, control, config = s.bus[0], s.ports[_STORE], s.control[0], s.config[0]
    refused = bus.b_valid and bus.b_error
    over = control.halt or refused
    full = bus.writes_outstanding == OUTSTANDING
    idle = not (r.start or walk.walking or walk.more or bus.aw_valid or r.unread or r.stopped)
    moves = r.active and idle and not r.waiting
    port.finished = 1 if r.waiting and r.older == 0 else 0
    port.fault_index = r.older_index if r.waiting and r.older else r.index
    port.finished_index, port.signals = r.older_index, r.older_signals
    if moves:
        r.waiting, r.older, r.older_index, r.older_signals = 1, bus.writes_outstanding, r.index, fields.signal
    elif port.finished:
        r.waiting = 0
    if r.older:
        r.older -= bus.b_valid
    if refused:
        r.waiting = 0

    port.work = 1 if r.unread and r.reserved != WRITE_BEATS else 0
    r.complete <<= 1
    if bus.w_valid and bus.w_ready:
        r.sending = (r.sending + 1) % SLOTS
        r.level -= 1
        r.reserved -= 1
    if r.complete >> BUFFER_CYCLES & 1:
        r.level += 1
        r.complete &= (1 << BUFFER_CYCLES) - 1
    if port.work:
        _overlap(s)

    event = NOTHING
    if not bus.aw_valid and not over and not full:
        event = step_bursts(walk, fields, config.bus_bytes, config.columns, config.output_depth, control.memory_bytes)
    if bus.aw_valid and bus.aw_ready:
        bus.aw_valid = 0
    elif event == ASKS:
        bus.aw_valid, bus.aw_address, bus.aw_beats = 1, walk.burst, walk.beats
        r.unread += 1
        bus.writes_outstanding += 1
    bus.writes_outstanding -= bus.b_valid
    port.fault = 1 if (event == FAULT or refused) and not r.stopped else 0
    port.fault_code = _BUS if refused else _ADDRESS
    if event == FAULT:
        port.fault_index = r.index
    if event == FAULT or refused:
        r.stopped = 1
    if r.start:
        start_bursts(walk, fields)
        start_overlaps(s.store.overlaps[0], fields, config.bus_bytes, config.columns)
    if over:
        stop_bursts(walk)

    r.start = 0
    if s.issue[_STORE].take:
        for k in range(MAX_FIELDS):
            s.store.raw[k] = s.issue_fields[_STORE, k]
        r.index, r.start, r.active = s.issue[_STORE].index, 1, 1
    elif moves or control.halt:
        r.active = 0
    port.busy = 1 if r.active or r.waiting or bus.writes_outstanding or port.finished else 0
