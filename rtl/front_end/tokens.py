"""Tokens: how often a unit has finished what another one may wait for."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from emulator.instructions import TOKEN_BITS, Unit

from ..unit import INDEX_BITS

UNITS = len(Unit)


class Tokens(wiring.Component):
    """A counter of TOKEN_BITS from every unit to every unit.

    Members
    -------
    clear : no tokens
    taken, consumes : bit v: unit v takes an instruction, which consumes a token of each unit in `consumes[v]`
    finished, signals, finished_index : bit u: unit u has ended an instruction, which gives tokens to `signals[u]`
    available : bit u of [v]: there is a token of unit u for unit v
    fault, fault_index : bit u, a cycle later: a counter held no more; index of the instruction that unit u had ended
    """

    def __init__(self):
        super().__init__(
            {
                "clear": In(1),
                "taken": In(UNITS),
                "consumes": In(data.ArrayLayout(UNITS, UNITS)),
                "finished": In(UNITS),
                "signals": In(data.ArrayLayout(UNITS, UNITS)),
                "finished_index": In(data.ArrayLayout(INDEX_BITS, UNITS)),
                "available": Out(data.ArrayLayout(UNITS, UNITS)),
                "fault": Out(UNITS),
                "fault_index": Out(data.ArrayLayout(INDEX_BITS, UNITS)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.fault_index.eq(self.finished_index)
        for u in range(UNITS):
            overflows = Signal(UNITS, name=f"overflows_{u}")
            for v in range(UNITS):
                count, more, less = (
                    Signal(bits, name=f"{name}_{u}_{v}")
                    for bits, name in ((TOKEN_BITS, "count"), (1, "more"), (1, "less"))
                )
                m.d.comb += [
                    more.eq(self.finished[u] & self.signals[u][v]),
                    less.eq(self.taken[v] & self.consumes[v][u]),
                    self.available[v][u].eq(count != 0),
                ]
                m.d.sync += overflows[v].eq(more & ~less & count.all())
                with m.If((more & ~less & ~count.all()) | (less & ~more)):
                    m.d.sync += count.eq(count + Mux(more, 1, -1))  # `less` comes late
                with m.If(self.clear):
                    m.d.sync += count.eq(0)
            m.d.comb += self.fault[u].eq(overflows.any())
            with m.If(self.clear):
                m.d.sync += overflows.eq(0)
        return m
