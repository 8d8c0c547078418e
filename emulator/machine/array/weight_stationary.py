"""CONVOLVE, weight stationary: the loader of weight tiles, the streamer of positions, the sums behind them."""

from __future__ import annotations

from typing import Any

from ...instructions import PARAMETER_ENTRIES
from ...timing import WINDOW_LATENCY
from ..compiled import compiled
from ..state import State
from .pipeline import CONVOLVE, bank_bit, copy_sums, read_operands, read_weights
from .sums import accumulate, read_bias
from .window import begin, last_kernel, last_position, locate, next_kernel, next_position


@compiled
def sums(s: State, now: int) -> None:
    """What accumulator lane 0 reads and writes in a cycle."""
    c, v = s.config[0], s.convolve
    mask = len(v.line) - 1
    at = (now - WINDOW_LATENCY - c.sum_read_delay) & mask
    e = v.line[at]
    if e.issued:
        if e.carry:
            copy_sums(s.sums[e.row], s.overflowed[e.row], v.sums[at], v.flags[at])
        else:
            read_bias(s.parameters, e.parameters, min(c.accumulator_bits, 32), v.sums[at], v.flags[at])
    at = (now - WINDOW_LATENCY - c.sum_write_delay) & mask
    e = v.line[at]
    if e.issued:
        accumulate(v.operands[at], v.weights[e.tile], v.sums[at], v.flags[at], c)
        copy_sums(v.sums[at], v.flags[at], s.sums[e.row], s.overflowed[e.row])


@compiled
def show_bank(s: State, now: int) -> None:
    """The accumulator bank that lane 0 reads in the cycle after this one."""
    e = s.convolve.line[(now - WINDOW_LATENCY - (s.config[0].sum_read_delay - 2)) & (len(s.convolve.line) - 1)]
    s.convolve.registers[0].bank_reads = bank_bit(e.row) if e.issued and e.carry else 0


@compiled
def outside(config: Any, e: Any) -> bool:
    """Whether a position's sum or its operands lie outside of their memories."""
    return bool(e.row >= config.accumulator_depth or (e.inside and e.address >= config.activation_depth))


@compiled
def _turn(s: State, at: int) -> bool:
    """The turn of the position that waits; returns whether it is the last of its instruction."""
    v = s.convolve
    g, w, e = v.streamer[0], v.window[0], v.line[at]
    last_of_tile, last_block = last_position(w), g.block == g.further_blocks
    final = last_of_tile and last_block and last_kernel(w)
    if g.swap:
        g.tile = v.loader[0].tile
    e.turn, e.final, e.first, e.carry, e.row, e.tile = 1, final, g.swap, g.carry, g.row, g.tile
    e.parameters, e.zero_point, e.signals, e.index = g.parameters, g.zero_point, g.signals, g.index
    e.inside, e.address = locate(w)
    g.waiting, g.swap = not final, last_of_tile
    g.row += 1
    next_position(w)
    if last_of_tile:
        g.elsewhere = 0
        g.block += 1
        g.parameters = (g.parameters + 1) % PARAMETER_ENTRIES
        if last_block:
            g.row, g.parameters, g.block, g.carry = g.first_row, g.first_parameters, 0, 1
            next_kernel(w)
    return final


@compiled
def read_row(s: State) -> None:
    """Read a row of the tile that is being loaded."""
    g = s.convolve.loader[0]
    read_weights(s, g.address, g.tile, s.config[0].rows - 1 - g.rows_left, g.entry)
    g.reading = g.rows_left != 0
    g.rows_left -= 1
    g.address += 1


@compiled
def _load(s: State, started: bool, freed: bool, stop: bool, offered: bool) -> bool:
    """A cycle of the weight loader; returns whether its next tile lies outside the scratchpad."""
    c, v = s.config[0], s.convolve
    g = v.loader[0]
    takes = offered and not v.registers[0].ahead_has and not g.active
    attempt = g.active and not g.shadow_full and not (g.reading and g.rows_left) and not stop
    fault = attempt and g.tile_row > c.weight_depth - c.rows
    if g.reading:
        read_weights(s, g.address, g.tile, c.rows - 1 - g.rows_left, g.entry)
    if started:
        g.loaded = 0
    if freed:
        g.shadow_full = 0
    if attempt and not fault:
        g.shadow_full, g.loaded, g.reading = 1, 1, 1
        g.rows_left, g.address, g.entry = c.rows - 1, g.tile_row, (g.parameters + g.block) % PARAMETER_ENTRIES
        g.block = g.block + 1 if g.block < g.further_blocks else 0
        g.tile = (g.tile + 1) % len(v.weights)
        g.tile_row += c.rows
        g.tiles_left -= 1
        g.active = g.tiles_left != 0
    elif g.reading:
        g.reading = g.rows_left != 0
        g.rows_left -= 1
        g.address += 1
    if takes:
        f = v.held[0]
        g.active, g.tile_row, g.index = 1, f.weight_row, v.registers[0].index
        g.parameters, g.block, g.further_blocks = f.parameters, 0, f.further_blocks
        g.tiles_left = f.kernel_height * f.kernel_width * f.channel_rows * (f.further_blocks + 1)
        v.registers[0].ahead_has = 1
    if stop:
        g.active = 0
    return fault


@compiled
def _take(s: State) -> None:
    """The streamer's registers, for the instruction that was prepared."""
    v = s.convolve
    g, f = v.streamer[0], v.held[0]
    begin(v.window[0], f)
    g.waiting, g.swap, g.carry = 1, 1, f.carry
    g.elsewhere = f.carry and (f.accumulator_row != g.first_row or f.further_blocks or g.further_blocks)
    g.row, g.first_row = f.accumulator_row, f.accumulator_row
    g.first_parameters, g.block, g.further_blocks = f.parameters, 0, f.further_blocks
    g.parameters, g.zero_point, g.signals, g.index = f.parameters, f.zero_point, f.signal, v.registers[0].index
    v.registers[0].walker_has = 1


@compiled
def idle(s: State) -> bool:
    """Whether a cycle without an instruction changes nothing but time."""
    g, loader = s.convolve.streamer[0], s.convolve.loader[0]
    return not (loader.active or loader.reading or g.start_left or g.turn_left)


@compiled
def cycle(s: State, stop: bool, offered: bool) -> bool:
    """One cycle; returns whether positions are to come or on their way."""
    c, v, port = s.config[0], s.convolve, s.ports[CONVOLVE]
    g, now, mask = v.streamer[0], v.registers[0].now, len(v.line) - 1
    offered_walker = offered and not v.registers[0].walker_has
    sums(s, now)

    # The issue of the position whose turn it was.
    at = (now - WINDOW_LATENCY) & mask
    e = v.line[at]
    issue, fault = False, False
    if e.turn and not stop:
        fault = outside(c, e)
        issue = not fault
    if fault:
        port.fault, port.fault_index = 1, e.index
    if issue:
        e.issued = 1
        read_operands(s, at)
        port.work, port.positions = 1, 1

    # The next turn.
    was_waiting, started, final, turn = g.waiting, False, False, False
    if g.waiting and not stop:
        carried_left = g.before_left if g.further_blocks else g.start_left
        turn = not g.swap or (
            v.loader[0].loaded and (not g.carry or carried_left == 0) and (not g.elsewhere or g.turn_left == 0)
        )
        if turn:
            started = g.swap
            final = _turn(s, now & mask)
    if _load(s, started, issue and e.first, stop, offered) and not fault:
        port.fault, port.fault_index = 1, v.loader[0].index
    g.before_left = max((g.start_left if started else g.before_left) - 1, 0)
    g.start_left = c.sum_write_delay - c.sum_read_delay if started else max(g.start_left - 1, 0)
    g.turn_left = c.sum_write_delay - c.sum_read_delay if turn else max(g.turn_left - 1, 0)
    if offered_walker and not stop and (not was_waiting or final):
        _take(s)
    if stop:
        g.waiting = 0

    # What the registers show in the next cycle.
    g.stages = 0 if stop else WINDOW_LATENCY if turn else max(g.stages - 1, 0)
    g.drain = c.sum_write_delay if issue else max(g.drain - 1, 0)
    e = v.line[(now - WINDOW_LATENCY - (c.sum_write_delay - 1)) & mask]
    if e.issued and e.final:
        port.finished, port.signals, port.finished_index = 1, e.signals, e.index
    show_bank(s, now)
    return g.waiting or g.stages or g.drain  # type: ignore[no-any-return]
