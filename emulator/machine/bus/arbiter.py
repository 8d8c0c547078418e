"""Read arbiter: one read channel for the sequencer's fetch and LOAD; twin of `rtl/bus/read_arbiter.py`."""

from __future__ import annotations

from ...bus import OUTSTANDING
from ..compiled import compiled
from ..state import State
from ..transfer import load

FETCH_GRANT, LOAD_GRANT = 1, 2
LOAD_OWNER = 1


@compiled
def wires(s: State) -> None:
    """The grant, and who takes the beat on the bus."""
    a, bus = s.arbiter.registers[0], s.bus[0]
    bus.grant = 0
    free = (bus.ar_ready or not bus.ar_valid) and bus.reads_outstanding < OUTSTANDING and not s.control[0].halt
    if free and (bus.fetch_request or bus.load_request):
        mine = bus.load_request and (a.loads_turn or not bus.fetch_request)
        bus.grant = LOAD_GRANT if mine else FETCH_GRANT
    bus.r_owner = (a.owners >> a.ended) & 1
    bus.r_ready = 1 if bus.r_owner != LOAD_OWNER or load.r_ready(s) else 0


@compiled
def step(s: State) -> None:
    """The address register and the order of the bursts; who got the grant has kept its address."""
    a, bus = s.arbiter.registers[0], s.bus[0]
    if a.ended:
        a.owners >>= 1
        bus.reads_outstanding -= 1
    a.ended = 1 if bus.r_valid and bus.r_ready and bus.r_last else 0
    if bus.grant:
        mine = bus.grant == LOAD_GRANT
        bus.ar_valid = 1
        bus.ar_address = bus.load_address if mine else bus.fetch_address
        bus.ar_beats = bus.load_beats if mine else bus.fetch_beats
        if mine:
            a.owners |= 1 << bus.reads_outstanding
        bus.reads_outstanding += 1
        a.loads_turn = 0 if mine else 1
    elif bus.ar_ready:
        bus.ar_valid = 0
