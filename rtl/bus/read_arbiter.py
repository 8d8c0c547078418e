"""Read arbiter: one AXI read channel for the sequencer's fetch and the load unit, burst by burst in turns."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from emulator.bus import BOUNDARY_BYTES, OUTSTANDING


class ReadArbiter(wiring.Component):
    """The address register takes a burst when it is empty or accepted, as long as fewer than OUTSTANDING are under way.

    If both ask, the one whose turn it is gets the grant; each grant makes it the other one's turn. Beats come in the
    order of the bursts.

    Members
    -------
    halts : grant nothing from the next cycle on
    clear : it is the fetch's turn
    memory_base : added to the addresses; a multiple of 4096
    fetch_request, fetch_address, fetch_length, fetch_grant : a burst waits: offset in the region, beats − 1; taken
    load_request, load_address, load_length, load_grant : likewise
    araddr, arlen, arvalid, arready, rvalid, rlast, rready : the bus
    fetch_valid : a beat for the fetch, which takes it at once
    load_valid, load_ready : a beat for the load unit
    outstanding : bursts under way
    """

    def __init__(self):
        super().__init__(
            {
                "halts": In(1),
                "clear": In(1),
                "memory_base": In(32),
                "fetch_request": In(1),
                "fetch_address": In(32),
                "fetch_length": In(8),
                "fetch_grant": Out(1),
                "load_request": In(1),
                "load_address": In(32),
                "load_length": In(8),
                "load_grant": Out(1),
                "araddr": Out(32),
                "arlen": Out(8),
                "arvalid": Out(1),
                "arready": In(1),
                "rvalid": In(1),
                "rlast": In(1),
                "rready": Out(1),
                "fetch_valid": Out(1),
                "load_valid": Out(1),
                "load_ready": In(1),
                "outstanding": Out(range(OUTSTANDING + 1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        loads_turn, free, loads = Signal(), Signal(), Signal()
        # OUTSTANDING bursts are under way; no further one is granted; whose beats come.
        full, closed, owner = Signal(), Signal(), Signal()
        ends, ended = Signal(), Signal()  # a burst has its last beat; it had in the cycle before
        # Bit k: burst k under way, oldest first, belongs to the load unit; bits behind the last burst say anything.
        owners = Signal(OUTSTANDING)
        m.d.comb += [
            free.eq((~self.arvalid | self.arready) & ~closed),
            loads.eq(self.load_request & (loads_turn | ~self.fetch_request)),
            self.fetch_grant.eq(free & self.fetch_request & ~loads),
            self.load_grant.eq(free & loads),
            self.fetch_valid.eq(self.rvalid & ~owner),
            self.load_valid.eq(self.rvalid & owner),
            self.rready.eq(~owner | self.load_ready),
            ends.eq(self.rvalid & self.rready & self.rlast),
        ]
        m.d.sync += ended.eq(ends)
        page = exact_log2(BOUNDARY_BYTES)
        offset = Mux(loads, self.load_address, self.fetch_address)
        granted = free & (self.fetch_request | self.load_request)
        with m.If(granted):
            m.d.sync += [
                self.arvalid.eq(1),
                self.araddr.eq(Cat(offset[:page], offset[page:] + self.memory_base[page:])),
                self.arlen.eq(Mux(loads, self.load_length, self.fetch_length)),
                loads_turn.eq(~loads),
            ]
        with m.Elif(self.arready):
            m.d.sync += self.arvalid.eq(0)
        fills = ~ended & (full | (granted & (self.outstanding == OUTSTANDING - 1)))
        m.d.sync += [
            self.outstanding.eq(self.outstanding + granted - ended),
            full.eq(fills),
            closed.eq(fills | self.halts),
        ]
        # Every place behind the last burst takes the owner of the next one, granted or not.
        kept, following = Signal(OUTSTANDING), Signal(OUTSTANDING)
        for burst in range(OUTSTANDING):
            m.d.comb += kept[burst].eq(Mux(self.outstanding > burst, owners[burst], loads))
        m.d.comb += following.eq(Mux(ended, Cat(kept[1:], loads), kept))
        m.d.sync += [owners.eq(following), owner.eq(Mux(ends, following[1], following[0]))]
        with m.If(self.clear):
            m.d.sync += loads_turn.eq(0)
        return m
