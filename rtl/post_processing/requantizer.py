"""Requantizer: ``clamp(zero_point + round(operand · multiplier / 2^shift), y_min, y_max)``, one result per cycle."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from emulator.arithmetic import Arithmetic

from .product import SMALL, partial_products
from .shift_round import ShiftRound

PART = 17
"""Bits of an unsigned factor that an 18 × 18 bit signed multiplier takes."""


def split(value: Value) -> list[Value]:
    """The digits of a value in base 2^PART, lowest first, all unsigned but the last one of a signed value."""
    top = PART + value.shape().signed
    digits = []
    while len(value) > top:
        digits.append(value[:PART])
        value = value[PART:].as_signed() if value.shape().signed else value[PART:]
    return [*digits, value]


class Requantizer(wiring.Component):
    """The contract's section 3, pipelined: partial products, their sums, then `ShiftRound`.

    Members
    -------
    operand : signed, `bits` bits, by default max(P, 24)
    multiplier, shift : constant while operands are on their way, or, `streamed`, those of the operand a cycle ago
    zero_point, y_min, y_max : constant while operands are on their way; y_min ≤ y_max
    result : int8 code, `REQUANTIZER_LATENCY` cycles after its operand
    clipped : whether the rounded value plus zero point lay outside the code range
    """

    def __init__(self, arithmetic: Arithmetic, bits: int | None = None, streamed: bool = False):
        self.arithmetic, self.bits, self.streamed = arithmetic, bits or arithmetic.operand_bits, streamed
        super().__init__(
            {
                "operand": In(signed(self.bits)),
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
        bits = self.bits + self.arithmetic.multiplier_bits
        m.submodules.rounding = rounding = ShiftRound(self.arithmetic, bits, self.streamed)
        m.d.comb += [getattr(rounding, name).eq(getattr(self, name)) for name in ("zero_point", "y_min", "y_max")]
        shift = self.shift
        if self.streamed:
            for stage in ("product", "sum", "even", "exact"):
                shift = self._register(m, shift, f"shift_at_{stage}")
        m.d.comb += rounding.shift.eq(shift)
        m.d.comb += [self.result.eq(rounding.result), self.clipped.eq(rounding.clipped)]

        # The factor's own register can lie beside the multipliers, wherever the operand comes from.
        factor = self._register(m, self.operand, "factor")
        # Products of digits, gathered by their weight 2^(PART · (i + j)). Lanes that columns share are few: there are
        # multipliers for all their products.
        products: list[list[Value]] = [[] for _ in range(4)]
        for i, x in enumerate(split(factor)):
            for j, y in enumerate(split(self.multiplier)):
                terms = partial_products(x, y, 0 if self.streamed else SMALL)
                products[i + j] += [self._register(m, t, f"product_{i}_{j}_{k}") for k, t in enumerate(terms)]
        sums = [self._register(m, sum(terms[1:], terms[0]), f"sum_{i}") for i, terms in enumerate(products) if terms]
        # The lowest sum is one unsigned product of 2 · PART bits: the even sums do not overlap, but for the third's.
        even = sums[0]
        if len(sums) > 2:
            upper = sums[2] + (sums[3] << PART) if len(sums) > 3 else sums[2]
            even = Cat(sums[0], C(0, 2 * PART - len(sums[0])), upper).as_signed()
        even, odd = self._register(m, even, "even"), self._register(m, sums[1], "odd")
        above = even[PART:].as_signed() if even.shape().signed else even[PART:]
        exact = Signal(signed(bits), reset_less=True)
        m.d.sync += exact.eq(Cat(even[:PART], above + odd))
        m.d.comb += rounding.value.eq(exact)
        return m

    def _register(self, m: Module, value: Value, name: str) -> Signal:
        register = Signal(value.shape(), name=name, reset_less=True)
        m.d.sync += register.eq(value)
        return register
