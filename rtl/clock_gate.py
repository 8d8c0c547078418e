"""Clock gate: a clock domain that rests while nothing in it matters."""

from amaranth import *


def gated_domain(m: Module, name: str, awake: Value) -> None:
    """Declare the domain `name` in a module: its clock is that of `sync`, only in cycles in which `awake` is 1.

    awake : of registers of `sync`; it is taken at the clock's falling edge, so that the gated clock has no glitch
    """
    gate = f"{name}_gate"
    m.domains += [
        ClockDomain(name, local=True),
        ClockDomain(gate, clk_edge="neg", reset_less=True, local=True),
    ]
    enabled = Signal(name=f"{name}_enabled", init=1)
    m.d[gate] += enabled.eq(awake | ResetSignal())
    m.d.comb += [
        ClockSignal(gate).eq(ClockSignal()),
        ClockSignal(name).eq(ClockSignal() & enabled),
        ResetSignal(name).eq(ResetSignal()),
    ]
