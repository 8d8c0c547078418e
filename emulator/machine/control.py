"""Control: faults, halt, the end of a run, soft reset and the counters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..front_end import INDEX_BITS, SETTLE_CYCLES
from ..instructions import Error, Unit
from ..registers import COUNTERS
from .compiled import compiled

if TYPE_CHECKING:
    from .state import State

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
def _capture(c: Any, code: int, index: int) -> None:
    """Stop; of several faults in one cycle the oldest instruction's is kept, also where indices begin again at 0."""
    if not c.captured_error or (index - c.captured_index) & _AGE_SIGN:
        c.captured_error, c.captured_index = code, index


@compiled
def _find_faults(s: State) -> None:
    """Keep the fault of this cycle that the oldest instruction has."""
    c, r = s.control[0], s.front.registers[0]
    for u in range(_UNITS):
        tokens, seen = s.front.token_faults[u], s.front.seen[u]
        if tokens.fault:
            _capture(c, _TOKEN, tokens.index)
        elif seen.fault:
            _capture(c, seen.fault_code, seen.fault_index)
    if r.fault and not c.captured_error:
        _capture(c, r.fault_code, r.fault_index)


@compiled
def step(s: State) -> None:
    """The end of the cycle; must come before the steps of the front end, whose registers it looks at."""
    c, r = s.control[0], s.front.registers[0]
    _count(s)
    finished, halted = False, c.halt
    if c.now == c.reset_at:
        c.resetting = c.halt = 1
    elif c.halt:
        if c.halted == SETTLE_CYCLES and r.idle:
            finished = True
            if not c.resetting:
                c.error, c.error_index = c.captured_error, c.captured_index
    else:
        _find_faults(s)
        if c.captured_error:
            c.halt = 1
        elif r.quiet and c.quiet == SETTLE_CYCLES:
            for u in range(_UNITS):
                if s.front.queues[u].valid:
                    _capture(c, _DEADLOCK, s.front.queues[u].index)
            if c.captured_error:
                c.halt = 1
            else:
                finished = True
    c.quiet = min(c.quiet + 1, SETTLE_CYCLES) if r.quiet else 0
    c.halted = min(c.halted + 1, SETTLE_CYCLES) if halted else 0
    c.now += 1
    if finished:
        c.running = 0
        s.counters[_CYCLES] = c.now
