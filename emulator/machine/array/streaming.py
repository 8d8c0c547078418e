"""CONVOLVE, weight stationary, in the middle of a tile: many cycles at once, where no other unit does anything."""

from __future__ import annotations

from ...timing import WINDOW_LATENCY
from ..compiled import compiled
from ..state import State
from .pipeline import CONVOLVE, read_operands
from .weight_stationary import outside, read_row, show_bank, sums
from .window import last_position, locate, next_position


@compiled
def _room(s: State, most: int) -> int:
    """So many cycles, at most, in which neither weight loader nor streamer begin with anything."""
    r, g, loader = s.convolve.registers[0], s.convolve.streamer[0], s.convolve.loader[0]
    if r.stopped or not g.waiting or g.swap or (loader.active and not loader.shadow_full):
        return 0
    if r.held and not (r.ahead_has or loader.active):
        return min(most, int(r.ready_at - r.now))
    return most


@compiled
def stream(s: State, most: int) -> tuple[int, int]:
    """At most so many cycles: (how many there were, positions issued in them).

    Each leaves what a step of the unit leaves. They end before one in which the last position of a tile has its turn, a
    tile's first one is issued, an instruction begins or ends, or a position has a fault.
    """
    c, v, port = s.config[0], s.convolve, s.ports[CONVOLVE]
    r, g, w, mask = v.registers[0], v.streamer[0], v.window[0], len(v.line) - 1
    first, issues, issue = r.now, 0, False
    now, end = first, first + _room(s, most)
    while now < end and not last_position(w):
        at = (now - WINDOW_LATENCY) & mask
        e, last = v.line[at], v.line[(at - (c.sum_write_delay - 1)) & mask]
        issue = e.turn != 0
        if (issue and (e.first or outside(c, e))) or (last.issued and last.final):
            break
        sums(s, now)
        if issue:
            e.issued = 1
            read_operands(s, at)
            issues += 1
        e = v.line[now & mask]
        e.turn, e.issued, e.final, e.first, e.carry, e.row, e.tile = 1, 0, 0, 0, g.carry, g.row, g.tile
        e.parameters, e.zero_point, e.signals, e.index = g.parameters, g.zero_point, g.signals, g.index
        e.inside, e.address = locate(w)
        g.row += 1
        next_position(w)
        if v.loader[0].reading:
            read_row(s)
        g.drain = c.sum_write_delay if issue else max(g.drain - 1, 0)
        now += 1
    cycles = now - first
    if cycles:
        g.before_left, g.start_left = max(g.before_left - cycles, 0), max(g.start_left - cycles, 0)
        g.turn_left, g.stages = c.sum_write_delay - c.sum_read_delay, WINDOW_LATENCY
        port.finished, port.fault, port.work = 0, 0, v.line[(now - 1 - WINDOW_LATENCY) & mask].issued
        port.positions = port.work
        show_bank(s, now - 1)
        r.now = now
    return cycles, issues
