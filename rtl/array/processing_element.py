"""Processing element: one weight-stationary multiply and accumulate step per cycle."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from emulator.arithmetic import Arithmetic

from ..skew import delayed
from .sum_step import sum_step


class ProcessingElement(wiring.Component):
    """``sum_out = overflow(sum_in + x · weight)``, one step of the contract's section 2.

    The weight is double-buffered: `load` writes the shadow, `swap` (which arrives a cycle before a tile's first `x`)
    makes the shadow the active weight. `x`, `swap` and `load` move right, one element per cycle; the sum moves down.
    Both factors come from registers that take a value in every cycle, so that these can be part of a multiplier.

    Latency: `x` in cycle t meets `sum_in` of cycle t + 2 + late; `sum_out` follows a cycle later.

    late : cycles by which the product is delayed, to be as late as one of `ProcessingElementPair`

    Members
    -------
    x, swap, load : from the left neighbour; x is a code minus its zero point, activation_bits + 1 bits
    weight : the column's weight bus, sampled with `load`; `weight_bits` bits, by default those of the arithmetic
    sum_in, overflowed_in : from above, P bits and the flag that travels with them
    x_out, swap_out, load_out, sum_out, overflowed_out : registered, to the right and below
    """

    def __init__(self, arithmetic: Arithmetic, weight_bits: int | None = None, late: int = 0):
        self.arithmetic, self.weight_bits, self.late = arithmetic, weight_bits or arithmetic.weight_bits, late
        x, total = signed(arithmetic.activation_bits + 1), signed(arithmetic.accumulator_bits)
        super().__init__(
            {
                "x": In(x),
                "swap": In(1),
                "load": In(1),
                "weight": In(signed(self.weight_bits)),
                "sum_in": In(total),
                "overflowed_in": In(1),
                "x_out": Out(x),
                "swap_out": Out(1),
                "load_out": Out(1),
                "sum_out": Out(total),
                "overflowed_out": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        arithmetic = self.arithmetic
        weight = signed(self.weight_bits)
        shadow = Signal(weight, reset_less=True)
        active = Signal(weight, reset_less=True)
        factor = Signal(weight, reset_less=True)
        x = Signal(signed(arithmetic.activation_bits + 1), reset_less=True)
        product = Signal(signed(arithmetic.activation_bits + 1 + self.weight_bits), reset_less=True)
        with m.If(self.load):
            m.d.sync += shadow.eq(self.weight)
        with m.If(self.swap):
            m.d.sync += active.eq(shadow)
        m.d.comb += self.x_out.eq(x)
        m.d.sync += [
            x.eq(self.x),
            self.swap_out.eq(self.swap),
            self.load_out.eq(self.load),
            factor.eq(active),
            product.eq(x * factor),
        ]
        product = delayed(m, product, self.late, "product_late")
        total, overflowed = sum_step(m, self.sum_in, self.overflowed_in, product, arithmetic)
        m.d.sync += [self.sum_out.eq(total), self.overflowed_out.eq(overflowed)]
        return m
