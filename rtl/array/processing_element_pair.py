"""Processing element pair: two weight-stationary elements beside each other that share one multiplier."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from emulator.arithmetic import Arithmetic

from ..skew import delayed
from .packed_products import packed_products
from .sum_step import sum_step


class ProcessingElementPair(wiring.Component):
    """What two `ProcessingElement`s in a row do, with one cycle more from operand to sum.

    Both products are made of the left one's `x`, so both weights become active with the left one's `swap`; the right
    one's weight is on its bus a cycle later than the left one's, as it is without pairs.

    Latency: `x` in cycle t meets ``sum_in[0]`` of cycle t + 3 and ``sum_in[1]`` of cycle t + 4.

    Members
    -------
    x, swap, load, x_out, swap_out, load_out : as of `ProcessingElement`, two cycles from left to right
    weight, sum_in, overflowed_in, sum_out, overflowed_out : the same of the left and of the right column
    """

    def __init__(self, arithmetic: Arithmetic, weight_bits: int | None = None):
        self.arithmetic, self.weight_bits = arithmetic, weight_bits or arithmetic.weight_bits
        x, total = signed(arithmetic.activation_bits + 1), signed(arithmetic.accumulator_bits)
        super().__init__(
            {
                "x": In(x),
                "swap": In(1),
                "load": In(1),
                "weight": In(signed(self.weight_bits)).array(2),
                "sum_in": In(total).array(2),
                "overflowed_in": In(1).array(2),
                "x_out": Out(x),
                "swap_out": Out(1),
                "load_out": Out(1),
                "sum_out": Out(total).array(2),
                "overflowed_out": Out(1).array(2),
            }
        )

    def elaborate(self, platform):
        m = Module()
        load = Signal()
        m.d.sync += [load.eq(self.load), self.load_out.eq(load)]
        m.d.comb += [
            self.x_out.eq(delayed(m, self.x, 2, "x_on_its_way")),
            self.swap_out.eq(delayed(m, self.swap, 2, "swap_on_its_way")),
        ]
        active = []
        for k, loads in enumerate((self.load, load)):
            shadow, weight = (
                Signal.like(self.weight[k], name=f"{n}_{k}", reset_less=True) for n in ("shadow", "active")
            )
            with m.If(loads):
                m.d.sync += shadow.eq(self.weight[k])
            with m.If(self.swap):
                m.d.sync += weight.eq(shadow)
            active.append(weight)
        for k, product in enumerate(packed_products(m, self.x, active)):
            start, flag = self.sum_in[k], self.overflowed_in[k]
            total, overflowed = sum_step(m, start, flag, product, self.arithmetic, f"_{k}")
            m.d.sync += [self.sum_out[k].eq(total), self.overflowed_out[k].eq(overflowed)]
        return m
