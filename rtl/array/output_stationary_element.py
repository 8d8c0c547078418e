"""Output-stationary element: keeps one sum, to which it adds a product per cycle."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from emulator.arithmetic import Arithmetic

from ..skew import delayed
from .sum_step import sum_step


class OutputStationaryElement(wiring.Component):
    """``sum = overflow(sum + x · weight)``, one step of the contract's section 2.

    Sums come and go through two registers per element, at half the speed of weights and operands. With `first` the
    element takes the sum that passes as the one to start from, and leaves its own, which is complete, in that place.

    Latency: `x`, `weight` and `first` in cycle t meet `sum_in` of cycle t + 2 + late; what `sum_in` brings leaves with
    `sum_out` two cycles later.

    late : cycles by which the product is delayed, to be as late as one of `OutputStationaryPair`

    Members
    -------
    x, first : from the left neighbour; x is a code minus its zero point, activation_bits + 1 bits
    weight : from above; `weight_bits` bits, by default those of the arithmetic
    sum_in, overflowed_in : from above, P bits and the flag that travels with them
    x_out, first_out, weight_out, sum_out, overflowed_out : registered, to the right and below
    """

    def __init__(self, arithmetic: Arithmetic, weight_bits: int | None = None, late: int = 0):
        self.arithmetic, self.weight_bits, self.late = arithmetic, weight_bits or arithmetic.weight_bits, late
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
        product = Signal(signed(self.arithmetic.activation_bits + 1 + self.weight_bits), reset_less=True)
        m.d.sync += [
            self.x_out.eq(self.x),
            self.weight_out.eq(self.weight),
            self.first_out.eq(self.first),
            product.eq(self.x_out * self.weight_out),
        ]
        product = delayed(m, product, self.late, "product_late")
        first = delayed(m, self.first_out, 1 + self.late, "first_here")
        passing = keep_sum(m, first, product, self.sum_in, self.overflowed_in, self.arithmetic)
        m.d.comb += [self.sum_out.eq(passing[0]), self.overflowed_out.eq(passing[1])]
        return m


def keep_sum(
    m: Module, first: Value, product: Value, start: Value, flag: Value, arithmetic: Arithmetic, name: str = ""
) -> tuple[Signal, Signal]:
    """The registers of one sum; returns the one that passes, and its flag, two cycles after `start` and `flag`.

    first : in step with a product, before which the sum that is kept and the one that passes change places
    """
    total = signed(arithmetic.accumulator_bits)
    kept, passing, passed = (Signal(total, name=f"{n}{name}", reset_less=True) for n in ("kept", "passing", "passed"))
    kept_flag, passing_flag, passed_flag = (
        Signal(name=f"{n}_flag{name}", reset_less=True) for n in ("kept", "passing", "passed")
    )
    begins, begins_flag = Mux(first, start, kept), Mux(first, flag, kept_flag)
    result, overflowed = sum_step(m, begins, begins_flag, product, arithmetic, name)
    m.d.sync += [
        kept.eq(result),
        kept_flag.eq(overflowed),
        passing.eq(Mux(first, kept, start)),
        passing_flag.eq(Mux(first, kept_flag, flag)),
        passed.eq(passing),
        passed_flag.eq(passing_flag),
    ]
    return passed, passed_flag
