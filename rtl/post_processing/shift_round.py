"""ShiftRound: ``clamp(zero_point + round(value / 2^shift), y_min, y_max)``, one result per cycle."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from emulator.arithmetic import Arithmetic

_NEAR = 9
"""Bits of the quotient that matter: nothing that is added brings one that needs more of them back into the codes."""


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


def shift_down(
    m: Module,
    arithmetic: Arithmetic,
    value: Value,
    shift: Value,
    kept: int,
    digits: tuple[int, ...],
    streamed: bool = False,
) -> tuple[Value, Value, Value, Value]:
    """value / 2^shift rounded down, its low `kept` bits; what rounding adds; whether it is negative, needs more bits.

    digits : bits of the shift that a cycle takes, highest ones first; the results come so many cycles after the value
    streamed : each value has a shift of its own; otherwise it is constant while values are on their way

    Each cycle keeps what later ones can still shift into the result. Of the bits below only whether there are ones
    matters, of those above only whether they differ from the sign.

    ``double`` adds 2^(s−1), and where s > B ±2^(B−1), before it rounds down. That carries into the quotient as the
    fraction's bits say: below the first one, all those from 2^(B−1) on must be ones for a positive value, and one of
    them for a negative one. So there is no adder in front of the shift.
    """
    double, least = arithmetic.rounding == "double", arithmetic.multiplier_bits
    # Doubling first leaves the fraction's first bit at position 0 after the shift, also when shift is 0. Of the doubled
    # value, `least` is the lowest bit that ``double`` looks at.
    window, negative = Cat(C(0, 1), value), value[-1]
    rest, full, outside = C(0, 1), C(1, 1), C(0, 1)
    left = len(shift)  # bits of the shift that are to come
    for stage, bits in enumerate(digits):
        gone, left = Cat(C(0, left), shift[left:]), left - bits
        digit, unit = shift[left : left + bits], 1 << left
        width = min(kept + unit, len(window))  # fraction's first bit, quotient, and what is shifted out later
        drops = [(digit > j, window[unit * j : unit * (j + 1)]) for j in range((1 << bits) - 1)]
        drops = [(enable, part) for enable, part in drops if len(part)]
        # At last, the quotient's highest bit has to be a sign, too.
        above = []
        for j in range(1 << bits):
            part = window[width - (left == 0) + unit * j :]
            part = part if j + 1 == 1 << bits else part[:unit]
            above.append((digit <= j) & (part != negative.replicate(len(part))))
        shifted = window.as_signed() >> Cat(C(0, left), digit)
        if double:
            looks, ones = [], []
            for j, (enable, part) in enumerate(drops):
                counts = Cat(gone + unit * j + place >= least for place in range(len(part)))
                looks.append(enable & (part & counts).any())
                ones.append(~enable | (part | ~counts).all())
            rest, full = rest | Cat(looks).any(), full & Cat(ones).all()
        else:
            rest |= Cat(enable & part.any() for enable, part in drops).any()
        names = ("window", "negative", "rest", "full", "outside")
        values = (shifted[:width], negative, rest, full, outside | Cat(above).any())
        registers = [Signal(len(v), name=f"{n}_{stage}", reset_less=True) for n, v in zip(names, values, strict=True)]
        m.d.sync += [register.eq(v) for register, v in zip(registers, values, strict=True)]
        window, negative, rest, full, outside = registers
        if streamed:
            here, shift = shift, Signal(len(shift), name=f"shift_{stage}", reset_less=True)
            m.d.sync += shift.eq(here)
    half, quotient = window[0], window[1 : kept + 1].as_signed()
    if double:
        beyond = shift > least
        rest, full = rest | ~beyond, full & beyond
    return quotient, _increment(arithmetic.rounding, negative, quotient[0], half, rest, full), negative, outside


class ShiftRound(wiring.Component):
    """The end of requantizer and adder: shift by 16s, by 4s, by bits, zero point and increment, clamp; a cycle each.

    Members
    -------
    value : signed, `bits` bits
    shift : constant while values are on their way, or, `streamed`, that of the value
    zero_point, y_min, y_max : constant while values are on their way; y_min ≤ y_max
    result : int8 code, `SHIFT_ROUND_LATENCY` cycles after its value
    clipped : whether the rounded value plus zero point lay outside the code range
    """

    def __init__(self, arithmetic: Arithmetic, bits: int, streamed: bool = False):
        self.arithmetic, self.bits, self.streamed = arithmetic, bits, streamed
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
        quotient, increment, negative, outside = shift_down(
            m, self.arithmetic, self.value, self.shift, _NEAR, (2, 2, 2), self.streamed
        )
        # A quotient with more bits becomes one that is at least 2^8 or below −2^8: also with the zero point it stays on
        # its side of all codes, so that the clamp need not know of it.
        near = Cat(quotient[:-1], negative ^ outside, negative)
        total = Signal(signed(_NEAR + 2), reset_less=True)
        rounded = Cat(C(1, 1), near).as_signed() + Cat(increment, self.zero_point).as_signed()  # one carry chain
        m.d.sync += total.eq(rounded >> 1)

        sign = self.arithmetic.activation_bits - 1
        m.d.sync += [
            self.clipped.eq(total[sign:] != total[-1].replicate(len(total) - sign)),
            self.result.eq(Mux(self.y_max < total, self.y_max, Mux(total < self.y_min, self.y_min, total))),
        ]
        return m
