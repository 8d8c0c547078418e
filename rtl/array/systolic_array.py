"""Systolic array: rows × columns elements of either dataflow."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..verilog.hierarchy import Placed
from .output_stationary_element import OutputStationaryElement
from .processing_element import ProcessingElement


class SystolicArray(wiring.Component):
    """Row r feeds element (r, 0); column c takes sums at the top and gives them back at the bottom.

    Weight stationary: an operand that enters row r in cycle t + r leaves its trace in the sum that enters column c in
    cycle t + 2 + c and comes out of the bottom in cycle t + 2 + rows + c. Elements are on the column's weight bus.

    Output stationary: with `first` in cycle t + r, row r's element of column c starts with the sum that enters the
    column in cycle t + 2 − r + c, and its own last sum comes out of the bottom in cycle t + 2 − r + 2 · rows + c.
    Weights move down, one row per cycle.

    Members
    -------
    x : one per row, at the left edge
    swap, load : weight stationary; first operand of a tile in the next cycle; this row's weight is on the buses
    first : output stationary; first operand of a group
    weight : one per column, at the top
    sum_in, overflowed_in, sum, overflowed : one per column, at the top and at the bottom
    """

    def __init__(self, rows: int, columns: int, element: ProcessingElement | OutputStationaryElement):
        self.rows, self.columns, self.element = rows, columns, element
        self.stationary_weights = isinstance(element, ProcessingElement)
        arithmetic = element.arithmetic
        total = signed(arithmetic.accumulator_bits)
        controls = ("swap", "load") if self.stationary_weights else ("first",)
        super().__init__(
            {
                "x": In(signed(arithmetic.activation_bits + 1)).array(rows),
                **{name: In(1).array(rows) for name in controls},
                "weight": In(signed(element.weight_bits)).array(columns),
                "sum_in": In(total).array(columns),
                "overflowed_in": In(1).array(columns),
                "sum": Out(total).array(columns),
                "overflowed": Out(1).array(columns),
            }
        )
        self._moving_right = ("x", *controls)

    def elaborate(self, platform):
        m = Module()
        names = ["sum", "overflowed"] if self.stationary_weights else ["sum", "overflowed", "weight"]
        inputs = {"sum": "sum_in", "overflowed": "overflowed_in", "weight": "weight"}
        down = [{name: getattr(self, inputs[name])[c] for name in names} for c in range(self.columns)]
        for r in range(self.rows):
            right = {name: getattr(self, name)[r] for name in self._moving_right}
            for c in range(self.columns):
                element = Placed(self.element, "processing_element", f"_{r}_{c}")
                m.submodules[f"element_{r}_{c}"] = element.instance
                m.d.comb += [getattr(element, name).eq(value) for name, value in right.items()]
                m.d.comb += [getattr(element, inputs[name]).eq(value) for name, value in down[c].items()]
                if self.stationary_weights:
                    m.d.comb += element.weight.eq(self.weight[c])
                right = {name: getattr(element, f"{name}_out") for name in right}
                down[c] = {name: getattr(element, f"{name}_out") for name in names}
        for c in range(self.columns):
            m.d.comb += [self.sum[c].eq(down[c]["sum"]), self.overflowed[c].eq(down[c]["overflowed"])]
        return m
