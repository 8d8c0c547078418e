"""Systolic array: rows × columns processing elements, weight stationary."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .hierarchy import Placed
from .processing_element import ProcessingElement


class SystolicArray(wiring.Component):
    """Row r feeds element (r, 0); column c takes a sum at the top and gives it back at the bottom.

    An operand that enters row r in cycle t + r leaves its trace in the sum that enters column c in cycle t + 2 + c and
    comes out of the bottom in cycle t + 2 + rows + c.

    Members
    -------
    x, swap, load : one per row, at the left edge
    weight : one bus per column
    sum_in, overflowed_in, sum, overflowed : one per column, at the top and at the bottom
    """

    def __init__(self, rows: int, columns: int, element: ProcessingElement):
        self.rows, self.columns, self.element = rows, columns, element
        arithmetic = element.arithmetic
        total = signed(arithmetic.accumulator_bits)
        super().__init__(
            {
                "x": In(signed(arithmetic.activation_bits + 1)).array(rows),
                "swap": In(1).array(rows),
                "load": In(1).array(rows),
                "weight": In(signed(arithmetic.weight_bits)).array(columns),
                "sum_in": In(total).array(columns),
                "overflowed_in": In(1).array(columns),
                "sum": Out(total).array(columns),
                "overflowed": Out(1).array(columns),
            }
        )

    def elaborate(self, platform):
        m = Module()
        sums = [(self.sum_in[c], self.overflowed_in[c]) for c in range(self.columns)]
        for r in range(self.rows):
            x, swap, load = self.x[r], self.swap[r], self.load[r]
            for c in range(self.columns):
                element = Placed(self.element, "processing_element", f"_{r}_{c}")
                m.submodules[f"element_{r}_{c}"] = element.instance
                m.d.comb += [
                    element.x.eq(x),
                    element.swap.eq(swap),
                    element.load.eq(load),
                    element.weight.eq(self.weight[c]),
                    element.sum_in.eq(sums[c][0]),
                    element.overflowed_in.eq(sums[c][1]),
                ]
                x, swap, load = element.x_out, element.swap_out, element.load_out
                sums[c] = element.sum_out, element.overflowed_out
        for c in range(self.columns):
            m.d.comb += [self.sum[c].eq(sums[c][0]), self.overflowed[c].eq(sums[c][1])]
        return m
