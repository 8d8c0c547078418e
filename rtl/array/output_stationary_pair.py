"""Output-stationary pair: two elements beside each other that share one multiplier."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from emulator.arithmetic import Arithmetic

from ..skew import delayed
from .output_stationary_element import keep_sum
from .packed_products import packed_products


class OutputStationaryPair(wiring.Component):
    """What two `OutputStationaryElement`s in a row do, with two cycles more from operands to sums.

    Both products are made when the right one has its `x` and its weight, a cycle later than the left one.

    Latency: `x` and ``weight[0]`` in cycle t and ``weight[1]`` in cycle t + 1 meet ``sum_in[0]`` of cycle t + 4 and
    ``sum_in[1]`` of cycle t + 5; what `sum_in` brings leaves with `sum_out` two cycles later.

    Members
    -------
    x, first, x_out, first_out : as of `OutputStationaryElement`, two cycles from left to right
    weight, sum_in, overflowed_in, weight_out, sum_out, overflowed_out : the same of the left and of the right column
    """

    def __init__(self, arithmetic: Arithmetic, weight_bits: int | None = None):
        self.arithmetic, self.weight_bits = arithmetic, weight_bits or arithmetic.weight_bits
        x, total = signed(arithmetic.activation_bits + 1), signed(arithmetic.accumulator_bits)
        weight = signed(self.weight_bits)
        super().__init__(
            {
                "x": In(x),
                "first": In(1),
                "weight": In(weight).array(2),
                "sum_in": In(total).array(2),
                "overflowed_in": In(1).array(2),
                "x_out": Out(x),
                "first_out": Out(1),
                "weight_out": Out(weight).array(2),
                "sum_out": Out(total).array(2),
                "overflowed_out": Out(1).array(2),
            }
        )

    def elaborate(self, platform):
        m = Module()
        x, first = delayed(m, self.x, 1, "x_left"), delayed(m, self.first, 1, "first_left")
        m.d.sync += [
            self.x_out.eq(x),
            self.first_out.eq(first),
            *(out.eq(weight) for out, weight in zip(self.weight_out, self.weight, strict=True)),
        ]
        products = packed_products(m, x, (self.weight_out[0], self.weight[1]))
        starts = delayed(m, self.first_out, 2, "first_here"), delayed(m, self.first_out, 3, "first_right")
        for k, (product, begins) in enumerate(zip(products, starts, strict=True)):
            start, flag = self.sum_in[k], self.overflowed_in[k]
            passing = keep_sum(m, begins, product, start, flag, self.arithmetic, f"_{k}")
            m.d.comb += [self.sum_out[k].eq(passing[0]), self.overflowed_out[k].eq(passing[1])]
        return m
