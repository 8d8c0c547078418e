"""Gather: the requantizer's operand of one column that the codes under a window make."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from emulator.arithmetic import Arithmetic
from emulator.instructions import Mode


class Gather(wiring.Component):
    """One code of a window per cycle.

    Members
    -------
    idle : there are no windows: what is gathered is 0
    mode, first_zero_point, other_zero_point : as of `lane_settings`
    first, valid : of the position whose code is here: the first one of its window; its code counts
    code : operand
    gathered : sum, maximum or first difference, up to the position whose code was here two cycles ago
    held, factor : differences whose product PRODUCT asks for, likewise; factor is 0 where there is none
    is_product : there is one
    """

    def __init__(self, arithmetic: Arithmetic):
        self.arithmetic = arithmetic
        super().__init__(
            {
                "idle": In(1),
                "mode": In(2),
                "first_zero_point": In(signed(8)),
                "other_zero_point": In(signed(8)),
                "first": In(1),
                "valid": In(1),
                "code": In(signed(arithmetic.activation_bits)),
                "gathered": Out(signed(arithmetic.operand_bits)),
                "held": Out(signed(9)),
                "factor": Out(signed(9)),
                "is_product": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        maximum, product = (Signal(name=name) for name in ("is_maximum", "takes_product"))
        m.d.comb += [maximum.eq(~self.idle & (self.mode == Mode.MAXIMUM)), product.eq(self.mode == Mode.PRODUCT)]
        # Nothing at all is the least code for a maximum, and 0 for everything else.
        difference, first, valid = Signal(signed(9), reset_less=True), Signal(), Signal()
        zero_point = Mux(self.first, self.first_zero_point, self.other_zero_point)
        nothing = Mux(maximum, self.arithmetic.activation_range[0], 0)
        m.d.sync += [
            difference.eq(Mux(self.valid & ~self.idle, self.code - zero_point, nothing)),
            first.eq(self.first),
            valid.eq(self.valid),
        ]

        # The difference that counts: each one for a sum, the largest one, or the first one.
        sums, chosen = self.mode == Mode.SUM, self.held
        larger = chosen < difference
        with m.If(self.idle | first | sums | (maximum & larger)):
            m.d.sync += chosen.eq(difference)
        before = Signal.like(self.gathered, name="before", reset_less=True)
        m.d.comb += self.gathered.eq(before + chosen)
        m.d.sync += before.eq(Mux(self.idle | ~sums | first, 0, self.gathered))

        with m.If(first | ~product | self.idle):
            m.d.sync += [self.factor.eq(0), self.is_product.eq(0)]
        with m.Elif(valid):
            m.d.sync += [self.factor.eq(difference), self.is_product.eq(1)]
        return m
