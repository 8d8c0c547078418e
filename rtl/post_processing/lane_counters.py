"""LaneCounters: how often something happened in a lane, in a memory of bytes that are added to one after the other."""

from functools import reduce
from operator import or_

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from emulator.instructions import COUNTER_ROWS
from emulator.registers import LANE_COUNTERS

from ..count import count_events

NO_PLACE = COUNTER_ROWS
"""A place where no byte is."""
PLACE_BITS = 4
COUNTER_BYTE = data.StructLayout({"place": PLACE_BITS, "byte": 8})
"""A byte of the counters and where it belongs: 4 · counter + byte, lowest bytes first, or `NO_PLACE`."""


class LaneCounters(wiring.Component):
    """Each counter's events gather in a few bits until its lowest byte is visited; the carry goes on to the next byte.

    Members
    -------
    place : the byte visited: 0 to COUNTER_ROWS − 1 in turn, each counter at least once in 15 of its events; `NO_PLACE`
        may come in between
    lowest : bit i: that byte is the lowest one of counter i
    clear : the byte becomes 0
    events : what is counted, bit i for counter i of `LANE_COUNTERS`
    current : the byte at `place` with what has happened before, in the same cycle
    """

    def __init__(self):
        super().__init__(
            {
                "place": In(PLACE_BITS),
                "lowest": In(len(LANE_COUNTERS)),
                "clear": In(1),
                "events": In(len(LANE_COUNTERS)),
                "current": Out(8),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.bytes = memory = Memory(shape=8, depth=16, init=[])
        write, read = memory.write_port(), memory.read_port(domain="comb")
        gathered, carry = [], Signal()
        for index, event in enumerate(self.events):
            count = Signal(4, name=f"gathered_{index}")
            count_events(m, count, event, self.lowest[index])
            gathered.append(Mux(self.lowest[index], count, 0))
        total = Signal(9)
        more = reduce(or_, gathered, carry & ~self.lowest.any())
        m.d.comb += [
            read.addr.eq(self.place),
            write.addr.eq(self.place),
            write.en.eq(self.place != NO_PLACE),
            total.eq(Mux(self.clear, 0, read.data) + Mux(self.clear, 0, more)),
            self.current.eq(total[:8]),
            write.data.eq(self.current),
        ]
        with m.If(self.place != NO_PLACE):
            m.d.sync += carry.eq(total[8])
        return m
