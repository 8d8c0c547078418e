"""A count of few bits without a carry chain, which would take twice its LUTs."""

from amaranth import *


def count_events(m: Module, count: Signal, event: Value, collected: Value) -> None:
    """Count an event; where the count is `collected` in this cycle, begin anew with this event."""
    m.d.sync += count[0].eq((count[0] & ~collected) ^ event)
    toggles = event
    for place in range(1, len(count)):
        toggles &= count[place - 1]
        with m.If(collected):
            m.d.sync += count[place].eq(0)
        with m.Else():
            m.d.sync += count[place].eq(count[place] ^ toggles)
