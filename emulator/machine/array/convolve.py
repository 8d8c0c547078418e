"""CONVOLVE, cycle by cycle: the unit's port, the instruction being prepared, and the dataflow that executes it."""

from __future__ import annotations

from ...instructions import Error
from ...timing import WINDOW_SETUP_CYCLES
from ..compiled import compiled
from ..state import State
from . import output_stationary, streaming, weight_stationary
from .pipeline import CONVOLVE

ADDRESS = int(Error.ADDRESS)
_group_idle, _group_cycle = output_stationary.idle, output_stationary.cycle
_tile_idle, _tile_cycle = weight_stationary.idle, weight_stationary.cycle


@compiled
def ready(s: State) -> bool:
    """Whether the unit can take an instruction."""
    g = s.convolve.registers[0]
    return not (g.held or g.stopped)


@compiled
def step(s: State) -> None:
    """One cycle of the unit."""
    c, v, port = s.config[0], s.convolve, s.ports[CONVOLVE]
    g = v.registers[0]
    mask = len(v.line) - 1
    here = v.line[g.now & mask]
    here.turn, here.issued = 0, 0
    v.events[g.now & mask], v.moves[g.now & mask], v.starts[(g.now + 1) & mask].valid = 0, 0, 0
    take, stopped = s.issue[CONVOLVE].take, g.stopped
    if s.control[0].halt:
        g.stopped = 1
    port.finished, port.fault, port.fault_code, port.work, port.positions = 0, 0, ADDRESS, 0, 0
    if not (port.busy or take) and (_group_idle(s) if c.output_stationary else _tile_idle(s)):
        g.bank_reads = 0
        g.now += 1
        return
    stop = bool(stopped)
    offered = bool(g.held and g.now >= g.ready_at)
    busy = _group_cycle(s, stop, offered) if c.output_stationary else _tile_cycle(s, stop, offered)
    if port.fault:
        g.stopped = 1
    if take:
        for k in range(len(v.held_raw)):
            v.held_raw[k] = s.issue_fields[CONVOLVE, k]
        g.held, g.index, g.ready_at = 1, s.issue[CONVOLVE].index, g.now + 1 + WINDOW_SETUP_CYCLES
    elif stop or (g.walker_has and g.ahead_has):
        g.held, g.walker_has, g.ahead_has = 0, 0, 0
    port.busy = 1 if g.held or busy else 0
    g.now += 1


@compiled
def stream(s: State, most: int) -> tuple[int, int]:
    """Cycles at once, at most so many, while no other unit does anything: (how many, positions issued in them)."""
    if s.config[0].output_stationary or most < 2:
        return 0, 0
    return streaming.stream(s, most)
