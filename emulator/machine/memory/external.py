"""The memory behind the bus: latency, bursts in order, stalls and refused addresses, cycle by cycle.

The same model as `rtl/simulation/memory_model.v`. A read burst whose address is taken in cycle t gives its first beat
in cycle t + latency or directly after the burst before it, whichever is later, then a beat a cycle; a write burst is
answered `latency` cycles after its last beat. All addresses are offsets in the memory region.
"""

from __future__ import annotations

from typing import Any

from ..compiled import compiled
from ..state import State
from ..state.external import BURSTS

STALL_MASK = 0x80200003
"""Feedback of the Galois register (shifting right) behind the stalls: each lasts while two of its bits are 1."""


@compiled
def _refused(m: Any, address: int, beats: int, memory_bytes: int) -> bool:
    """Whether a burst touches the refused bytes or leaves the memory."""
    end = address + beats * m.bus_bytes
    return bool(end > memory_bytes or (address <= m.error_last and end > m.error_first))


@compiled
def _free(stall: int, first: int, second: int) -> int:
    """0 while both bits of the stall register are 1."""
    return 1 - ((stall >> first) & (stall >> second) & 1)


@compiled
def wires(s: State) -> None:
    """What the memory drives in this cycle; also keeps the addresses that it takes in this cycle."""
    m, bus = s.external.registers[0], s.bus[0]
    stall = m.stall
    bus.ar_ready = _free(stall, 0, 7)
    bus.aw_ready = _free(stall, 5, 17)
    bus.w_ready = _free(stall, 9, 20) if m.write_count > 0 else 0
    m.ar_taken, m.ar_address, m.ar_beats = bus.ar_valid & bus.ar_ready, bus.ar_address, bus.ar_beats
    m.aw_taken, m.aw_address, m.aw_beats = bus.aw_valid & bus.aw_ready, bus.aw_address, bus.aw_beats
    if bus.ar_valid:
        m.running = 1
    bus.r_valid = 0
    if m.read_count > 0:
        head = s.external.reads[m.read_head]
        if head.due <= m.clock and (m.r_held or _free(stall, 3, 11)):
            address = head.address + m.read_beat * m.bus_bytes
            bus.r_valid, bus.r_error = 1, head.error
            bus.r_last = 1 if m.read_beat + 1 == head.beats else 0
            for k in range(m.bus_bytes):
                s.read_data[k] = s.memory[address + k] if address + k < len(s.memory) else 0
    bus.b_valid = 0
    if m.response_count > 0:
        response = s.external.responses[m.response_head]
        if response.due <= m.clock and _free(stall, 2, 13):
            bus.b_valid, bus.b_error = 1, response.error


@compiled
def step(s: State) -> None:
    """The end of the cycle: bursts, beats and responses that were taken; a write beat's bytes are STORE's `beat`."""
    m, bus = s.external.registers[0], s.bus[0]
    if bus.r_valid:
        m.r_held = 0 if bus.r_ready else 1
        if bus.r_ready:
            m.read_beat += 1
            if bus.r_last:
                m.read_beat = 0
                m.read_head = (m.read_head + 1) % BURSTS
                m.read_count -= 1
    if m.ar_taken:
        read = s.external.reads[(m.read_head + m.read_count) % BURSTS]
        read.address, read.beats, read.due = m.ar_address, m.ar_beats, m.clock + m.latency
        read.error = 1 if _refused(m, m.ar_address, m.ar_beats, len(s.memory)) else 0
        m.read_count += 1
    if bus.b_valid:
        m.response_head = (m.response_head + 1) % BURSTS
        m.response_count -= 1
    if bus.w_valid and bus.w_ready and m.write_count > 0:
        error = s.external.writes[m.write_head].error
        if not error:
            beat = s.store.beat[0]
            for k in range(beat.first, beat.end):
                s.memory[bus.w_address + k] = s.store.data[beat.slot, k]
        if bus.w_last:
            response = s.external.responses[(m.response_head + m.response_count) % BURSTS]
            response.due, response.error = m.clock + m.latency, error
            m.response_count += 1
            m.write_head = (m.write_head + 1) % BURSTS
            m.write_count -= 1
    if m.aw_taken:
        write = s.external.writes[(m.write_head + m.write_count) % BURSTS]
        write.error = 1 if _refused(m, m.aw_address, m.aw_beats, len(s.memory)) else 0
        m.write_count += 1
    if m.running:
        m.clock += 1
        m.stall = (m.stall >> 1) ^ (STALL_MASK if m.stall & 1 else 0)


@compiled
def rests(s: State) -> bool:
    """Whether the bus and the memory behind it do nothing, in cycles without a request."""
    bus = s.bus[0]
    asked = bus.ar_valid | bus.fetch_request | bus.load_request | bus.aw_valid
    moves = bus.r_valid | bus.w_valid | bus.b_valid | s.arbiter.registers[0].ended | s.external.registers[0].stall
    return not (bus.reads_outstanding | bus.writes_outstanding | asked | moves)


@compiled
def rest(s: State, cycles: int) -> None:
    """So many cycles at rest."""
    if s.external.registers[0].running:
        s.external.registers[0].clock += cycles
