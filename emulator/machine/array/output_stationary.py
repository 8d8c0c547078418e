"""CONVOLVE, output stationary: events of groups, sums on their way in and results out, operands tile by tile."""

from __future__ import annotations

from typing import Any

from ...timing import GROUPS_IN_FLIGHT, WINDOW_LATENCY
from ..compiled import compiled
from ..state import State
from .pipeline import CONVOLVE, bank_bit, copy_sums, read_operands, read_weights
from .sums import accumulate, read_bias
from .window import begin, last_kernel, locate, next_kernel, next_position

FLUSH, REAL, WITH_RESULTS = 1, 2, 4
"""Bits of an event."""


@compiled
def _sums(s: State) -> None:
    """What accumulator lane 0 reads and writes in this cycle, and the products in between."""
    c, v = s.config[0], s.convolve
    g, mask, now = v.engine[0], len(v.line) - 1, v.registers[0].now
    start = v.starts[(now - (c.group_read_delay - 1)) & mask]
    if start.valid:
        at = start.slot * c.rows + start.place
        if start.carry:
            copy_sums(s.sums[start.row], s.overflowed[start.row], v.sums[at], v.flags[at])
        else:
            read_bias(s.parameters, start.parameters, min(c.accumulator_bits, 32), v.sums[at], v.flags[at])
    # By now all weights of the tile are there, and the sum to start from.
    at = (now - WINDOW_LATENCY - c.group_product_delay) & mask
    e = v.line[at]
    if e.issued and e.position:
        where = e.group * c.rows + e.place
        accumulate(v.operands[at], v.weights[e.tile], v.sums[where], v.flags[where], c)
    group = v.groups[(g.get - 1) % GROUPS_IN_FLIGHT]
    if g.write_running and g.write_place < group.count:
        at = group.slot * c.rows + g.write_place
        copy_sums(v.sums[at], v.flags[at], s.sums[g.write_row], s.overflowed[g.write_row])


@compiled
def _results(s: State, moves: bool) -> None:
    """The registers behind the results' control."""
    c, v, port = s.config[0], s.convolve, s.ports[CONVOLVE]
    g, mask, now = v.engine[0], len(v.line) - 1, v.registers[0].now
    v.moves[now & mask] = moves
    if g.write_running:
        g.write_running = g.write_place != 0
        g.write_place -= 1
        g.write_row -= 1
    if v.moves[(now - (c.group_write_delay - 1)) & mask]:
        g.write_running, g.write_place = 1, c.rows - 1
        g.write_row = v.groups[g.get].row + c.rows - 1
        g.get = (g.get + 1) % GROUPS_IN_FLIGHT
    if g.write_running and g.write_place == 0:
        group = v.groups[(g.get - 1) % GROUPS_IN_FLIGHT]
        if group.final:
            port.finished, port.signals, port.finished_index = 1, group.signals, group.index
    g.drain = c.rows - 1 + c.group_write_delay if moves else max(g.drain - 1, 0)


@compiled
def _starts(s: State, event: bool, count: int) -> None:
    """The registers behind the control of the sums to start from."""
    c, v = s.config[0], s.convolve
    g, mask, now = v.engine[0], len(v.line) - 1, v.registers[0].now
    if g.start_running:
        g.start_running = g.start_place != 0
        g.start_place -= 1
        g.start_row -= 1
    if event:
        group = v.current[0]
        g.start_running, g.start_place, g.start_count = 1, c.rows - 1, count
        g.start_carry, g.start_parameters, g.start_slot = g.carry, g.parameters, group.slot
        g.start_row = group.row + c.rows - 1
    g.start_way = c.group_read_delay if g.start_running else max(g.start_way - 1, 0)
    start = v.starts[(now + 1) & mask]
    start.valid = g.start_running and g.start_place < g.start_count
    start.carry, start.row, start.parameters = g.start_carry, g.start_row, g.start_parameters
    start.slot, start.place = g.start_slot, g.start_place
    start = v.starts[(now + 1 - (c.group_read_delay - 2)) & mask]
    v.registers[0].bank_reads = bank_bit(start.row) if start.valid and start.carry else 0


@compiled
def _event(s: State, stop: bool, offered: bool) -> tuple[bool, bool, int]:
    """(a group begins, it is its instruction's first, its positions); what its own event leaves in the registers."""
    c, v, port = s.config[0], s.convolve, s.ports[CONVOLVE]
    g, group, f, mask = v.engine[0], v.current[0], v.held[0], len(v.line) - 1
    now = v.registers[0].now
    offered = offered and not v.registers[0].ahead_has
    drained = not (g.active or g.way or g.drain)
    same = g.due and g.more
    begins = not stop and (same or (offered and (g.due or (not g.active and g.rest == 0)) and (not f.carry or drained)))
    flush = not stop and g.due and not begins
    g.rest, g.way = max(g.rest - 1, 0), max(g.way - 1, 0)
    row, left = (g.row, g.left) if same else (f.accumulator_row, f.output_height * f.output_width)
    count = min(left, c.rows)
    if begins and row + count > c.accumulator_depth:
        if not port.fault:
            port.fault, port.fault_index = 1, group.index if same else v.registers[0].index
        begins = False
    if begins or flush:
        v.events[now & mask] = (REAL if begins else FLUSH) | (WITH_RESULTS if g.active else 0)
        g.way = c.group_commit_delay
        if g.active:
            put = v.groups[g.put]
            put.row, put.count, put.final, put.slot = group.row, group.count, group.final, group.slot
            put.signals, put.index = group.signals, group.index
            g.put = (g.put + 1) % GROUPS_IN_FLIGHT
    g.due = 0
    if begins:
        g.active, g.more, g.row, g.left = 1, left > c.rows, row + c.rows, left - c.rows
        g.slot = (g.slot + 1) % GROUPS_IN_FLIGHT
        group.row, group.count, group.final, group.slot = row, count, left <= c.rows, g.slot
        if not same:
            g.carry, g.parameters = f.carry, f.parameters
            group.signals, group.index = f.signal, v.registers[0].index
            v.registers[0].ahead_has = 1
    if flush:
        g.active, g.rest = 0, c.rows - 1
    if stop:
        g.active, g.way = 0, 0
    return begins, not same, count


@compiled
def _take_turn(s: State, e: Any) -> bool:
    """The turn of the walker's place; returns whether the next cycle has an event."""
    c, v = s.config[0], s.convolve
    g, w = v.walker[0], v.window[0]
    last_tile, tile_end = last_kernel(w), g.place == c.rows - 1
    due = last_tile and g.place == c.group_due
    if g.place == 0:
        g.tile = (g.tile + 1) % len(v.weights)
    e.turn, e.position, e.place, e.group, e.tile = 1, g.place < g.count, g.place, g.slot, g.tile
    e.tile_start, e.first = g.place == 0, g.place == 0 and g.first_tile
    e.weight_row, e.parameters, e.zero_point, e.index = g.weight_row, g.parameters, g.zero_point, g.index
    e.inside, e.address = locate(w)
    g.place += 1
    g.weight_row += 1
    next_position(w)
    if tile_end:
        g.place, g.first_tile, g.running = 0, 0, not last_tile
        if last_tile:
            w.kept_y, w.kept_x = w.output_y, w.output_x
        else:
            w.output_y, w.output_x = w.kept_y, w.kept_x
        next_kernel(w)
    return due


@compiled
def _begin(s: State) -> None:
    """The walker's registers, for the group whose first turn is in the next cycle."""
    v = s.convolve
    g, f = v.walker[0], v.held[0]
    g.running, g.place, g.first_tile, g.count, g.slot = 1, 0, 1, g.next_count, g.next_slot
    if g.next_fresh:
        begin(v.window[0], f)
        g.weight_first, g.parameters = f.weight_row, f.parameters
        g.zero_point, g.index = f.zero_point, v.registers[0].index
        v.registers[0].walker_has = 1
    g.weight_row = g.weight_first


@compiled
def _issue(s: State, at: int, stop: bool) -> bool:
    """The issue of the place whose turn it was; returns whether it is a group's first."""
    c, v, port = s.config[0], s.convolve, s.ports[CONVOLVE]
    e = v.line[at]
    if not e.turn or stop:
        return False
    if (e.position and e.inside and e.address >= c.activation_depth) or (
        e.tile_start and e.weight_row > c.weight_depth - c.rows
    ):
        port.fault, port.fault_index = 1, e.index
        return False
    e.issued = 1
    if e.position:
        read_operands(s, at)
        port.work, port.positions = 1, 1
    return e.first  # type: ignore[no-any-return]


@compiled
def idle(s: State) -> bool:
    """Whether a cycle without an instruction changes nothing but time."""
    g = s.convolve.engine[0]
    return not (g.rest or g.start_way)


@compiled
def cycle(s: State, stop: bool, offered: bool) -> bool:
    """One cycle; returns whether a group is in the array or results are on their way."""
    c, v = s.config[0], s.convolve
    g, walker, now, mask = v.engine[0], v.walker[0], v.registers[0].now, len(v.line) - 1
    _sums(s)
    e = v.line[(now - WINDOW_LATENCY - c.group_weight_delay) & mask]
    if e.issued:
        read_weights(s, e.weight_row, e.tile, e.place, e.parameters)
    committed = _issue(s, (now - WINDOW_LATENCY) & mask, stop)
    event = v.events[(now - c.group_commit_delay) & mask]
    moves = (committed or (event & FLUSH and not stop)) and event & WITH_RESULTS
    begins, fresh, count = _event(s, stop, offered)
    due, turn = False, bool(walker.running and not stop)
    if walker.running:
        due = _take_turn(s, v.line[now & mask])
    if begins:
        walker.begins_at, walker.next_fresh, walker.next_count = now + c.group_lead - 1, fresh, count
        walker.next_slot = v.current[0].slot
    if walker.begins_at == now and now and not stop and (begins or c.group_lead > 1):
        _begin(s)
    g.due = due and not stop
    if stop:
        walker.running = 0
    _starts(s, begins, count)
    _results(s, bool(moves))
    walker.stages = 0 if stop else WINDOW_LATENCY if turn else max(walker.stages - 1, 0)
    return g.active or g.way or g.drain or walker.running or walker.stages  # type: ignore[no-any-return]
