"""ShiftRound: ``clamp(zero_point + round(value / 2^shift), y_min, y_max)``, one result per cycle."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from emulator.arithmetic import Arithmetic

_NEAR = 10
"""Bits of the quotient that matter: outside of them, nothing that is added can bring it back into the code range."""


def _increment(rounding: str, negative: Value, odd: Value, half: Value, rest: Value) -> Value:
    """What to add to the quotient rounded down; `half`: the fraction's first bit, `rest`: whether more follows."""
    return {
        "half_even": half & (rest | odd),
        "half_up": half,
        "half_away": half & (rest | ~negative),
        "floor": C(0, 1),
        "toward_zero": negative & (half | rest),
    }[rounding]


class ShiftRound(wiring.Component):
    """The end of requantizer and adder: shift by bytes, shift by bits, increment, zero point, clamp; a cycle each.

    Members
    -------
    value : signed, `bits` bits
    shift, zero_point, y_min, y_max : constant while values are on their way; y_min ≤ y_max
    result : int8 code, `SHIFT_ROUND_LATENCY` cycles after its value
    clipped : whether the rounded value plus zero point lay outside the code range
    """

    def __init__(self, arithmetic: Arithmetic, bits: int):
        self.arithmetic, self.bits = arithmetic, bits
        super().__init__(
            {
                "value": In(signed(bits)),
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
        # Doubling first leaves the fraction's first bit at position 0 after the shift, also when shift is 0.
        doubled = Cat(C(0, 1), self.value).as_signed()
        coarse, fine = self.shift[3:], self.shift[:3]
        by_bytes = Signal(signed(len(doubled)), reset_less=True)
        lost = Signal(reset_less=True)
        groups = [doubled[8 * j : 8 * j + 8] for j in range(7) if 8 * j < len(doubled)]
        m.d.sync += [
            by_bytes.eq(doubled >> Cat(C(0, 3), coarse)),
            lost.eq(Cat(group.any() & (coarse > j) for j, group in enumerate(groups)).any()),
        ]

        shifted = Signal(signed(len(doubled)), reset_less=True)
        rest = Signal(reset_less=True)
        m.d.sync += [
            shifted.eq(by_bytes >> fine),
            rest.eq(lost | Cat(by_bytes[j] & (fine > j) for j in range(7)).any()),
        ]

        half, quotient, negative = shifted[0], shifted[1:], shifted[-1]
        near = Signal(signed(_NEAR), reset_less=True)
        increment = Signal(reset_less=True)
        outside = quotient[_NEAR - 1 :] != negative.replicate(len(quotient) - _NEAR + 1)
        m.d.sync += [
            near.eq(Mux(outside, Cat((~negative).replicate(_NEAR - 1), negative), quotient)),
            increment.eq(_increment(self.arithmetic.rounding, negative, quotient[0], half, rest)),
        ]

        total = Signal(signed(_NEAR + 1), reset_less=True)
        m.d.sync += total.eq(near + self.zero_point + increment)

        sign = self.arithmetic.activation_bits - 1
        m.d.sync += [
            self.clipped.eq(total[sign:] != total[-1].replicate(len(total) - sign)),
            self.result.eq(Mux(total > self.y_max, self.y_max, Mux(total < self.y_min, self.y_min, total))),
        ]
        return m
