"""Telemetry: the counters of a run."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from emulator.config import AcceleratorConfig
from emulator.instructions import Unit
from emulator.registers import COUNTER_BITS, COUNTERS

UNITS = len(Unit)


class Telemetry(wiring.Component):
    """Each counter follows its event by three cycles.

    Members
    -------
    clear, running : a run begins; events count while `running`
    work, present : bit u: unit u works in this cycle; it has an instruction
    read, written, position : a read beat, a write beat, a position enters the array
    values : in the order of `COUNTERS`; `cycles` counts from the cycle that took the start
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
                "values": Out(data.ArrayLayout(COUNTER_BITS, len(COUNTERS))),
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
        counts = Signal()
        m.d.sync += counts.eq(self.running & ~self.clear)
        for index, name in enumerate(COUNTERS):
            # Two registers: the sources lie all over the chip.
            source, event, value = Signal(name=name), Signal(name=f"{name}_event"), self.values[index]
            m.d.sync += [source.eq(sources[name]), event.eq(source & counts)]
            with m.If(event):
                m.d.sync += value.eq(value + self.steps.get(name, 1))
            with m.If(self.clear):
                m.d.sync += value.eq(3 * self.running if name == "cycles" else 0)
        return m
