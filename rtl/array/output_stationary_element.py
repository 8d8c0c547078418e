"""Output-stationary element: keeps one sum, to which it adds a product per cycle."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from emulator.arithmetic import Arithmetic

from .processing_element import overflow


class OutputStationaryElement(wiring.Component):
    """``sum = overflow(sum + x · weight)``, one step of the contract's section 2.

    Sums come and go through two registers per element, at half the speed of weights and operands. With `first` the
    element takes the sum that passes as the one to start from, and leaves its own, which is complete, in that place.

    Latency: `x`, `weight` and `first` in cycle t meet `sum_in` of cycle t + 2; what `sum_in` brings leaves with
    `sum_out` two cycles later.

    Members
    -------
    x, first : from the left neighbour; x is a code minus its zero point, activation_bits + 1 bits
    weight : from above; `weight_bits` bits, by default those of the arithmetic
    sum_in, overflowed_in : from above, P bits and the flag that travels with them
    x_out, first_out, weight_out, sum_out, overflowed_out : registered, to the right and below
    """

    def __init__(self, arithmetic: Arithmetic, weight_bits: int | None = None):
        self.arithmetic, self.weight_bits = arithmetic, weight_bits or arithmetic.weight_bits
        x, total = signed(arithmetic.activation_bits + 1), signed(arithmetic.accumulator_bits)
        weight = signed(self.weight_bits)
        super().__init__(
            {
                "x": In(x),
                "first": In(1),
                "weight": In(weight),
                "sum_in": In(total),
                "overflowed_in": In(1),
                "x_out": Out(x),
                "first_out": Out(1),
                "weight_out": Out(weight),
                "sum_out": Out(total),
                "overflowed_out": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        arithmetic = self.arithmetic
        total = signed(arithmetic.accumulator_bits)
        product = Signal(signed(arithmetic.activation_bits + 1 + self.weight_bits), reset_less=True)
        first = Signal()
        kept, kept_flag = Signal(total, reset_less=True), Signal(reset_less=True)
        passing, passing_flag = Signal(total, reset_less=True), Signal(reset_less=True)
        m.d.sync += [
            self.x_out.eq(self.x),
            self.weight_out.eq(self.weight),
            self.first_out.eq(self.first),
            first.eq(self.first_out),
            product.eq(self.x_out * self.weight_out),
        ]
        step = Signal(signed(max(arithmetic.accumulator_bits, len(product)) + 1))
        m.d.comb += step.eq(Mux(first, self.sum_in, kept) + product)
        result, outside = overflow(m, step, arithmetic)
        m.d.sync += [
            kept.eq(result),
            kept_flag.eq(Mux(first, self.overflowed_in, kept_flag) | outside),
            passing.eq(Mux(first, kept, self.sum_in)),
            passing_flag.eq(Mux(first, kept_flag, self.overflowed_in)),
            self.sum_out.eq(passing),
            self.overflowed_out.eq(passing_flag),
        ]
        return m
