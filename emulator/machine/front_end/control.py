"""Control: faults, halt, the end of a run, soft reset and the counters."""

from __future__ import annotations

from typing import Any

from ...front_end import INDEX_BITS, SETTLE_CYCLES
from ...instructions import Error, Unit
from ...registers import COUNTERS
from ..compiled import compiled
from ..state import State

_TOKEN, _DEADLOCK = int(Error.TOKEN), int(Error.DEADLOCK)
_UNITS = len(Unit)
_AGE_SIGN = 1 << (INDEX_BITS - 1)
_CONVOLVE = int(Unit.CONVOLVE)
_CYCLES, _BUSY = COUNTERS.index("cycles"), COUNTERS.index("load_busy")
_READ, _WRITTEN, _MACS = COUNTERS.index("bytes_read"), COUNTERS.index("bytes_written"), COUNTERS.index("macs")


@compiled
def _count(s: State) -> None:
    """The counters of this cycle."""
    bus, config, counters = s.bus[0], s.config[0], s.counters
    for u in range(_UNITS):
        if s.ports[u].work:
            counters[_BUSY + 2 * u] += 1
        elif s.front.seen[u].busy or s.front.queues[u].present:
            counters[_BUSY + 2 * u + 1] += 1
    if bus.r_valid and bus.r_ready:
        counters[_READ] += config.bus_bytes
    if bus.w_valid and bus.w_ready:
        counters[_WRITTEN] += config.bus_bytes
    counters[_MACS] += s.ports[_CONVOLVE].positions * config.rows * config.columns


@compiled
def _found(c: Any, code: int, index: int) -> None:
    """Of several faults in one cycle the oldest instruction's counts, also where indices begin again at 0."""
    if not c.found_error or (index - c.found_index) & _AGE_SIGN:
        c.found_error, c.found_index = code, index


@compiled
def _look(s: State) -> None:
    """Keep what this cycle shows: the next one judges it."""
    c, r = s.control[0], s.front.registers[0]
    c.idle, c.quiet, c.found_error, c.waiting = r.idle, r.quiet, 0, 0
    for u in range(_UNITS):
        tokens, seen, queue = s.front.token_faults[u], s.front.seen[u], s.front.queues[u]
        if tokens.fault:
            _found(c, _TOKEN, tokens.index)
        elif seen.fault:
            _found(c, seen.fault_code, seen.fault_index)
        if queue.valid and (not c.waiting or (queue.index - c.head_index) & _AGE_SIGN):
            c.waiting, c.head_index = 1, queue.index
    if r.fault and not c.found_error:
        _found(c, r.fault_code, r.fault_index)


@compiled
def step(s: State) -> None:
    """The end of the cycle; must come before the steps of the front end, whose registers it looks at."""
    c = s.control[0]
    _count(s)
    finished, stopping = False, c.stopping
    if c.now == c.reset_at:
        c.resetting = c.stopping = 1
    elif stopping:
        if c.stopping_cycles == SETTLE_CYCLES and c.idle:
            finished = True
            if not c.resetting:
                c.error, c.error_index = c.captured_error, c.captured_index
    elif c.found_error:
        c.captured_error, c.captured_index = c.found_error, c.found_index
        c.stopping = 1
    elif c.quiet and c.quiet_cycles == SETTLE_CYCLES:
        if c.waiting:
            c.captured_error, c.captured_index = _DEADLOCK, c.head_index
            c.stopping = 1
        else:
            finished = True
    c.quiet_cycles = min(c.quiet_cycles + 1, SETTLE_CYCLES) if c.quiet else 0
    c.stopping_cycles = min(c.stopping_cycles + 1, SETTLE_CYCLES) if stopping else 0
    c.halt = stopping
    _look(s)
    c.now += 1
    if finished:
        c.running = 0
        s.counters[_CYCLES] = c.now


@compiled
def rests(s: State) -> bool:
    """Whether a cycle changes nothing but the time and counters, while the front end sleeps."""
    c = s.control[0]
    return not (c.stopping | c.halt | c.found_error | c.quiet | c.quiet_cycles) and c.running


@compiled
def count_rest(s: State, cycles: int, work: int) -> None:
    """Count so many cycles at once, in which CONVOLVE alone did anything: issued `work` positions."""
    config, counters = s.config[0], s.counters
    for u in range(_UNITS):
        mine = work if u == _CONVOLVE else 0
        counters[_BUSY + 2 * u] += mine
        if s.front.seen[u].busy or s.front.queues[u].present:
            counters[_BUSY + 2 * u + 1] += cycles - mine
    counters[_MACS] += work * config.rows * config.columns
