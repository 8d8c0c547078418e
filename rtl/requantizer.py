"""Requantizer: ``clamp(zero_point + round(operand · multiplier / 2^shift), y_min, y_max)``, one result per cycle."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from emulator.arithmetic import Arithmetic

_SPLIT = 16


def _increment(rounding: str, negative: Value, odd: Value, half: Value, rest: Value) -> Value:
    """What to add to the quotient rounded down; `half`: the fraction's first bit, `rest`: whether more follows."""
    return {
        "half_even": half & (rest | odd),
        "half_up": half,
        "half_away": half & (rest | ~negative),
        "floor": C(0, 1),
        "toward_zero": negative & (half | rest),
    }[rounding]


class Requantizer(wiring.Component):
    """The contract's section 3, pipelined: two partial products, their sum, the shift, the rounding, the clamp.

    Members
    -------
    operand : signed, max(P, 24) bits
    multiplier, shift, zero_point, y_min, y_max : constant while operands are on their way
    result : int8 code, `REQUANTIZER_LATENCY` cycles after its operand
    clipped : whether the rounded value plus zero point lay outside the code range
    """

    def __init__(self, arithmetic: Arithmetic):
        self.arithmetic = arithmetic
        super().__init__(
            {
                "operand": In(signed(arithmetic.operand_bits)),
                "multiplier": In(arithmetic.multiplier_bits),
                "shift": In(6),
                "zero_point": In(signed(8)),
                "y_min": In(signed(8)),
                "y_max": In(signed(8)),
                "result": Out(signed(8)),
                "clipped": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        arithmetic = self.arithmetic
        low_part, high_part = self.multiplier[:_SPLIT], self.multiplier[_SPLIT:]
        low = Signal(signed(arithmetic.operand_bits + len(low_part) + 1), reset_less=True)
        high = Signal(signed(arithmetic.operand_bits + len(high_part) + 1), reset_less=True)
        product = Signal(signed(arithmetic.operand_bits + arithmetic.multiplier_bits), reset_less=True)
        m.d.sync += [low.eq(self.operand * low_part), product.eq(low + (high << _SPLIT))]
        if len(high_part):
            m.d.sync += high.eq(self.operand * high_part)

        bits = len(product)
        quotient = Signal(signed(bits), reset_less=True)
        negative, half, rest = (Signal(name=name, reset_less=True) for name in ("negative", "half", "rest"))
        # Doubling first puts the fraction's first bit at position 0 of the shifted word, also when shift is 0.
        shifted = Signal(signed(bits + 1))
        below = Signal(64)
        m.d.comb += [
            shifted.eq(Cat(C(0, 1), product).as_signed() >> self.shift),
            below.eq((C(1, 64) << self.shift) - 1),
        ]
        m.d.sync += [
            quotient.eq(shifted[1:].as_signed()),
            half.eq(shifted[0]),
            rest.eq((product.as_unsigned() & (below >> 1)[:bits]).any()),
            negative.eq(product[-1]),
        ]

        rounded = Signal(signed(bits + 1), reset_less=True)
        m.d.sync += rounded.eq(quotient + _increment(arithmetic.rounding, negative, quotient[0], half, rest))

        value = Signal(signed(bits + 2))
        code_low, code_high = arithmetic.activation_range
        m.d.comb += value.eq(rounded + self.zero_point)
        m.d.sync += self.clipped.eq((value < code_low) | (value > code_high))
        with m.If((value > self.y_max) | (self.y_min > self.y_max)):
            m.d.sync += self.result.eq(self.y_max)
        with m.Elif(value < self.y_min):
            m.d.sync += self.result.eq(self.y_min)
        with m.Else():
            m.d.sync += self.result.eq(value)
        return m
