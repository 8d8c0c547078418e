"""Fetch: asks for one instruction per burst, `FETCH_AHEAD` of them ahead, and keeps the words that arrive."""

from __future__ import annotations

from ...instructions import INSTRUCTION_BYTES, Error
from ..compiled import compiled, copy
from ..state import State

CLEAR, SETTLE, CHECK, REQUEST, END = range(5)
"""States: a run begins; the limits are looked at; a request is decided; it waits for its grant; no instruction follows.
The first one is the cycle in which `rtl/front_end/fetch.py` is cleared."""
FETCH_OWNER = 0
_PROGRAM_END, _ADDRESS = int(Error.PROGRAM_END), int(Error.ADDRESS)


@compiled
def start(s: State) -> None:
    """What the clear at the beginning of a run leaves."""
    f, c = s.fetch.registers[0], s.control[0]
    f.state = CLEAR
    f.address = c.program_address
    f.remaining = c.program_bytes // INSTRUCTION_BYTES
    f.room = c.memory_bytes // INSTRUCTION_BYTES - c.program_address // INSTRUCTION_BYTES


@compiled
def step(s: State) -> None:
    """Requests and arrivals; `front.stop` and `shift` are wires of this cycle."""
    f, bus, words = s.fetch.registers[0], s.bus[0], INSTRUCTION_BYTES // s.config[0].bus_bytes
    size, stop = len(s.fetch.words), s.front.registers[0].stop
    state, arrived = f.state, f.arrived
    if f.state == CLEAR:
        f.state = SETTLE
    elif f.state == SETTLE:
        f.end = _PROGRAM_END if f.remaining == 0 else _ADDRESS if f.room <= 0 else 0
        f.state = CHECK
    elif f.state == CHECK:
        if not stop:
            if f.end:
                f.state = END
            elif f.reserved + words <= size:
                bus.fetch_request, bus.fetch_address, bus.fetch_beats = 1, f.address, words
                f.reserved += words
                f.expected += words
                f.state = REQUEST
    elif f.state == REQUEST:
        if bus.grant == 1 + FETCH_OWNER:
            bus.fetch_request = 0
            f.address = (f.address + INSTRUCTION_BYTES) & 0xFFFFFFFF
            f.remaining -= 1
            f.room -= 1
            f.state = SETTLE
        elif stop:
            bus.fetch_request = 0
            f.reserved -= words
            f.expected -= words
            f.state = CHECK
    if f.shift:
        f.read = (f.read + 1) % size
        f.level -= 1
        f.reserved -= 1
    f.level += f.arrived
    f.arrived = 0
    if bus.r_valid and bus.r_owner == FETCH_OWNER:
        copy(s.fetch.words[f.write], s.read_data)
        s.fetch.errors[f.write] = bus.r_error
        f.write = (f.write + 1) % size
        f.arrived = 1
        f.expected -= 1
    if f.state != state or f.state == REQUEST or f.expected or arrived or f.arrived:
        s.front.registers[0].resting = 0
