"""Telemetry: the counters of a run, in a memory of halves that are added to one after the other."""

from functools import reduce
from operator import or_

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from emulator.config import AcceleratorConfig
from emulator.instructions import Unit
from emulator.registers import COUNTER_BITS, COUNTERS

from ..count import count_events
from ..memory.block_ram import block_ram

UNITS = len(Unit)
HALF_BITS = COUNTER_BITS // 2
ROUND = 2 * len(COUNTERS)
"""Cycles in which every half is visited once."""
COUNTER_HALF = data.StructLayout({"place": range(ROUND), "half": HALF_BITS})
"""Half of a counter and where it belongs: 2 · counter, and 1 more for the upper one."""


class Telemetry(wiring.Component):
    """A counter's events gather in a few bits until its lower half is visited; the carry goes on to the upper one.

    Members
    -------
    clear, running : a run begins; events count while `running`
    work, present : bit u: unit u works in this cycle; it has an instruction
    read, written, position : a read beat, a write beat, a position enters the array
    coming : `visited.place` in the next cycle
    visited : `COUNTER_HALF`, in the order of `COUNTERS`, with the events up to five cycles before the lower half;
        `cycles` counts from the cycle that took the start
    """

    def __init__(self, config: AcceleratorConfig):
        self.steps = {"bytes_read": config.bus_bytes, "bytes_written": config.bus_bytes}
        self.steps["macs"] = config.rows * config.columns
        super().__init__(
            {
                "clear": In(1),
                "running": In(1),
                "work": In(UNITS),
                "present": In(UNITS),
                "read": In(1),
                "written": In(1),
                "position": In(1),
                "coming": Out(range(ROUND)),
                "visited": Out(COUNTER_HALF),
            }
        )

    def elaborate(self, platform):
        m = Module()
        sources = {
            "cycles": self.running,
            "bytes_read": self.read,
            "bytes_written": self.written,
            "macs": self.position,
        }
        for unit in Unit:
            sources[f"{unit.name.lower()}_busy"] = self.work[unit]
            sources[f"{unit.name.lower()}_stall"] = self.present[unit] & ~self.work[unit]
        counts, place, ring = Signal(), Signal(range(ROUND)), Signal(ROUND, init=1)  # `ring` is `place`, a bit for each
        m.d.sync += [
            counts.eq(self.running & ~self.clear),
            place.eq(Mux(ring[-1], 0, place + 1)),
            ring.eq(ring.rotate_left(1)),
        ]
        gathered = []
        for index, name in enumerate(COUNTERS):
            # Two registers: the sources lie all over the chip.
            source, event = Signal(name=name), Signal(name=f"{name}_event")
            count = Signal(bits_for(ROUND), reset_less=True, name=f"{name}_count")
            here = ring[2 * index]
            m.d.sync += [source.eq(sources[name]), event.eq(source & counts)]
            count_events(m, count, event, here)
            with m.If(self.clear):
                m.d.sync += count.eq(3 * self.running if name == "cycles" else 0)
            gathered.append(Mux(here, count * self.steps.get(name, 1), 0))
        self._add(m, place, reduce(or_, gathered))
        return m

    def _add(self, m: Module, place: Value, gathered: Value) -> None:
        """The half at `place` is read, waits in a register, and is written with what is added to it."""
        m.submodules.halves = halves = block_ram(HALF_BITS, ROUND, always=True)
        write, read = halves.write_port(), halves.read_port()
        # A run starts with zeros in all halves.
        fresh, left = Signal(2), Signal(range(ROUND))
        with m.If(self.clear):
            m.d.sync += [fresh[0].eq(1), left.eq(ROUND - 1)]
        with m.Elif(left == 0):
            m.d.sync += fresh[0].eq(0)
        with m.Else():
            m.d.sync += left.eq(left - 1)
        places, half, more = (
            [Signal.like(place, name=f"place_{i}") for i in range(2)],
            Signal(HALF_BITS),  # reset, as what a memory gives before its first clock is unknown, and is written
            Signal(HALF_BITS, reset_less=True),
        )
        addend, carry, total = Signal(HALF_BITS, reset_less=True), Signal(), Signal(HALF_BITS + 1)
        m.d.sync += [
            *(register.eq(value) for register, value in zip(places, [place, *places], strict=False)),
            fresh[1].eq(fresh[0]),
            addend.eq(gathered),
            more.eq(addend),
            half.eq(Mux(fresh[1], 0, read.data)),
            carry.eq(total[-1] & ~fresh[1]),  # none of the run before
        ]
        m.d.comb += [
            read.en.eq(1),
            read.addr.eq(place),
            total.eq(half + more + (carry & places[1][0])),
            write.en.eq(1),
            write.addr.eq(places[1]),
            write.data.eq(total),
            self.coming.eq(places[0]),
            self.visited.place.eq(places[1]),
            self.visited.half.eq(total),
        ]
