"""LaneCounters: how often something happened in a lane, in a memory of bytes that are added to one after the other."""

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
    clear : the byte becomes 0
    events : what is counted, bit i for counter i of `LANE_COUNTERS`
    current : the byte at `place` with what has happened before, in the same cycle
    """

    def __init__(self):
        super().__init__(
            {
                "place": In(PLACE_BITS),
                "clear": In(1),
                "events": In(len(LANE_COUNTERS)),
                "current": Out(8),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.bytes = memory = Memory(shape=8, depth=16, init=[])
        write, read = memory.write_port(), memory.read_port(domain="comb")
        byte, counter = self.place[:2], self.place[2:]
        gathered, carry = [], Signal()
        for index, event in enumerate(self.events):
            count = Signal(4, name=f"gathered_{index}")
            visited = (counter == index) & (byte == 0)
            count_events(m, count, event, visited)
            gathered.append(Mux(counter == index, count, 0))
        total = Signal(9)
        more = Mux(byte == 0, gathered[0] | gathered[1] | gathered[2], carry)
        m.d.comb += [
            read.addr.eq(self.place),
            write.addr.eq(self.place),
            write.en.eq(self.place != NO_PLACE),
            total.eq(read.data + more),
            self.current.eq(Mux(self.clear, 0, total[:8])),
            write.data.eq(self.current),
        ]
        with m.If(self.place != NO_PLACE):
            m.d.sync += carry.eq(total[8] & ~self.clear)
        return m
