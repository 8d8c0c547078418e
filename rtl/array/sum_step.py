"""Sum step: one partial sum plus one product, in P bits."""

from amaranth import *

from emulator.arithmetic import Arithmetic


def sum_step(
    m: Module, start: Value, flag: Value, product: Value, arithmetic: Arithmetic, name: str = ""
) -> tuple[Value, Value]:
    """(overflow(start + product), whether this or an earlier sum had left the range), of the contract's section 2."""
    bits, outside = arithmetic.accumulator_bits, Signal(name=f"outside{name}")
    if len(product) <= bits:
        # The end of the carry chain is late: one bit of it and the signs, which are there early, tell all.
        step = Signal(signed(bits), name=f"step{name}")
        negative = start[-1]
        m.d.comb += outside.eq((negative == product[-1]) & (step[-1] != negative))
    else:
        step = Signal(signed(len(product) + 1), name=f"step{name}")
        negative, spill = step[-1], step[bits - 1 :]
        m.d.comb += outside.eq(spill.any() & ~spill.all())
    m.d.comb += step.eq(start + product)
    total = step[:bits].as_signed()
    if arithmetic.overflow != "wrap":
        low, high = (C(limit, signed(bits)) for limit in arithmetic.accumulator_range)
        total = Mux(outside, Mux(negative, low, high), total)
    return total, flag | outside
