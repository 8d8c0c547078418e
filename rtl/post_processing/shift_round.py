"""ShiftRound: ``clamp(zero_point + round(value / 2^shift), y_min, y_max)``, one result per cycle."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from emulator.arithmetic import Arithmetic

_NEAR = 10
"""Bits of the quotient that matter: outside of them, nothing that is added can bring it back into the code range."""


def _increment(rounding: str, negative: Value, odd: Value, half: Value, rest: Value, full: Value) -> Value:
    """What to add to the quotient rounded down; `half`: the fraction's first bit, `rest`: whether more follows.

    full : ``double`` only: whether the bits that follow are all ones
    """
    return {
        "half_even": half & (rest | odd),
        "half_up": half,
        "half_away": half & (rest | ~negative),
        "floor": C(0, 1),
        "toward_zero": negative & (half | rest),
        "double": Mux(negative, half & rest, half | full),
    }[rounding]


def shift_down(m: Module, arithmetic: Arithmetic, value: Value, shift: Value) -> tuple[Value, Value]:
    """(value / 2^shift rounded down, in two's complement; what the rounding adds to it), two cycles after the value.

    ``double`` adds 2^(s−1), and where s > B ±2^(B−1), before it rounds down. That carries into the quotient as the
    fraction's bits say: below the first one, all those from 2^(B−1) on must be ones for a positive value, and one of
    them for a negative one. So there is no adder in front of the shift.
    """
    # Doubling first leaves the fraction's first bit at position 0 after the shift, also when shift is 0.
    doubled = Cat(C(0, 1), value).as_signed()
    coarse, fine = shift[3:], shift[:3]
    by_bytes = Signal(signed(len(doubled)), reset_less=True)
    lost = Signal(reset_less=True)
    groups = [doubled[8 * j : 8 * j + 8] for j in range(7) if 8 * j < len(doubled)]
    shifted = Signal(signed(len(doubled)), reset_less=True)
    rest = Signal(reset_less=True)
    full = Signal(reset_less=True)
    m.d.sync += by_bytes.eq(doubled >> Cat(C(0, 3), coarse))
    if arithmetic.rounding == "double":
        filled, beyond = Signal(name="filled", reset_less=True), Signal(name="beyond")
        least = arithmetic.multiplier_bits  # of the doubled value, the lowest bit that the rounding looks at
        upper = [(j, group[max(least - 8 * j, 0) :]) for j, group in enumerate(groups) if least < 8 * j + 8]
        counts = [(fine > j) & (coarse * 8 + j >= least) for j in range(7)]
        m.d.comb += beyond.eq(shift > least)
        m.d.sync += [
            lost.eq(Cat(part.any() & (coarse > j) for j, part in upper).any()),
            filled.eq(~Cat(~part.all() & (coarse > j) for j, part in upper).any()),
            shifted.eq(by_bytes >> fine),
            rest.eq(lost | ~beyond | Cat(by_bytes[j] & counts[j] for j in range(7)).any()),
            full.eq(filled & beyond & ~Cat(~by_bytes[j] & counts[j] for j in range(7)).any()),
        ]
    else:
        m.d.sync += [
            lost.eq(Cat(group.any() & (coarse > j) for j, group in enumerate(groups)).any()),
            shifted.eq(by_bytes >> fine),
            rest.eq(lost | Cat(by_bytes[j] & (fine > j) for j in range(7)).any()),
        ]
    half, quotient, negative = shifted[0], shifted[1:], shifted[-1]
    return quotient, _increment(arithmetic.rounding, negative, quotient[0], half, rest, full)


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
        quotient, to_add = shift_down(m, self.arithmetic, self.value, self.shift)
        negative = quotient[-1]
        near = Signal(signed(_NEAR), reset_less=True)
        increment = Signal(reset_less=True)
        outside = quotient[_NEAR - 1 :] != negative.replicate(len(quotient) - _NEAR + 1)
        m.d.sync += [
            near.eq(Mux(outside, Cat((~negative).replicate(_NEAR - 1), negative), quotient)),
            increment.eq(to_add),
        ]

        total = Signal(signed(_NEAR + 1), reset_less=True)
        m.d.sync += total.eq(near + self.zero_point + increment)

        sign = self.arithmetic.activation_bits - 1
        m.d.sync += [
            self.clipped.eq(total[sign:] != total[-1].replicate(len(total) - sign)),
            self.result.eq(Mux(total > self.y_max, self.y_max, Mux(total < self.y_min, self.y_min, total))),
        ]
        return m
