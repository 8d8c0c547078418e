"""Sum step: one partial sum plus one product, in P bits."""

from amaranth import *

from emulator.arithmetic import Arithmetic


def sum_step(
    m: Module, start: Value, flag: Value, product: Value, arithmetic: Arithmetic, name: str = ""
) -> tuple[Value, Value]:
    """(overflow(start + product), whether this or an earlier sum had left the range), of the contract's section 2."""
    step = Signal(signed(max(arithmetic.accumulator_bits, len(product)) + 1), name=f"step{name}")
    m.d.comb += step.eq(start + product)
    total, outside = _overflow(m, step, arithmetic, name)
    return total, flag | outside


def _overflow(m: Module, value: Value, arithmetic: Arithmetic, name: str) -> tuple[Value, Value]:
    """Bring a signed `value` into P bits; returns the partial sum and whether it had left the range."""
    bits = arithmetic.accumulator_bits
    low, high = arithmetic.accumulator_range
    outside = Signal(name=f"outside{name}")
    spill = value[bits - 1 :]
    m.d.comb += outside.eq(spill.any() & ~spill.all())
    wrapped = value[:bits].as_signed()
    if arithmetic.overflow == "wrap":
        return wrapped, outside
    return Mux(outside, Mux(value[-1], C(low, signed(bits)), C(high, signed(bits))), wrapped), outside
