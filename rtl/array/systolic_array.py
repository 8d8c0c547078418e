"""Systolic array: rows × columns elements of either dataflow."""

from collections.abc import Iterator

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..verilog.hierarchy import Placed
from .output_stationary_element import OutputStationaryElement
from .output_stationary_pair import OutputStationaryPair
from .processing_element import ProcessingElement
from .processing_element_pair import ProcessingElementPair


class SystolicArray(wiring.Component):
    """Row r feeds element (r, 0); column c takes sums at the top and gives them back at the bottom.

    Weight stationary: an operand that enters row r in cycle t + r leaves its trace in the sum that enters column c in
    cycle t + 2 + late + c and comes out of the bottom in cycle t + 2 + late + rows + c. Elements are on the column's
    weight bus.

    Output stationary: with `first` in cycle t + r, row r's element of column c starts with the sum that enters the
    column in cycle t + 2 + late − r + c, and its own last sum comes out of the bottom in cycle
    t + 2 + late − r + 2 · rows + c. Weights move down, one row per cycle.

    element : a column's; its `late` is the array's. None: there is no such column
    pair : for columns 0 and 1, 2 and 3, …. None: each column has an element of its own

    Members
    -------
    x : one per row, at the left edge
    swap, load : weight stationary; first operand of a tile in the next cycle; this row's weight is on the buses
    first : output stationary; first operand of a group
    weight : one per column, at the top
    sum_in, overflowed_in, sum, overflowed : one per column, at the top and at the bottom
    """

    def __init__(
        self,
        rows: int,
        columns: int,
        element: ProcessingElement | OutputStationaryElement | None,
        pair: ProcessingElementPair | OutputStationaryPair | None = None,
    ):
        self.rows, self.columns, self.element, self.pair = rows, columns, element, pair
        self.stationary_weights = isinstance(pair or element, ProcessingElement | ProcessingElementPair)
        arithmetic, weight_bits = (pair or element).arithmetic, (pair or element).weight_bits
        total = signed(arithmetic.accumulator_bits)
        controls = ("swap", "load") if self.stationary_weights else ("first",)
        super().__init__(
            {
                "x": In(signed(arithmetic.activation_bits + 1)).array(rows),
                **{name: In(1).array(rows) for name in controls},
                "weight": In(signed(weight_bits)).array(columns),
                "sum_in": In(total).array(columns),
                "overflowed_in": In(1).array(columns),
                "sum": Out(total).array(columns),
                "overflowed": Out(1).array(columns),
            }
        )
        self._moving_right = ("x", *controls)

    @property
    def kinds(self) -> dict[str, wiring.Component]:
        """The components that are written as modules of their own, by name."""
        kinds = {"processing_element": self.element, "processing_element_pair": self.pair}
        return {name: kind for name, kind in kinds.items() if kind is not None}

    def _places(self) -> Iterator[tuple[int, int]]:
        """(first column, columns) of the elements of a row."""
        paired = self.columns // 2 * 2 if self.pair is not None else 0
        yield from ((c, 2) for c in range(0, paired, 2))
        yield from ((c, 1) for c in range(paired, self.columns))

    def elaborate(self, platform):
        m = Module()
        names = ["sum", "overflowed"] if self.stationary_weights else ["sum", "overflowed", "weight"]
        inputs = {"sum": "sum_in", "overflowed": "overflowed_in", "weight": "weight"}
        down = {name: list(getattr(self, inputs[name])) for name in names}
        if self.stationary_weights:
            down["weight"] = list(self.weight)
        for r in range(self.rows):
            right = {name: getattr(self, name)[r] for name in self._moving_right}
            for c, count in self._places():
                kind, suffix = (self.element, "") if count == 1 else (self.pair, "_pair")
                element = Placed(kind, f"processing_element{suffix}", f"_{r}_{c}")
                m.submodules[f"element_{r}_{c}"] = element.instance
                m.d.comb += [getattr(element, name).eq(value) for name, value in right.items()]
                right = {name: getattr(element, f"{name}_out") for name in right}
                for name, values in down.items():
                    into = getattr(element, inputs[name])
                    into = [into] if count == 1 else into
                    m.d.comb += [port.eq(values[c + k]) for k, port in enumerate(into)]
                    if name in names:
                        out = getattr(element, f"{name}_out")
                        values[c : c + count] = [out] if count == 1 else out
        for c in range(self.columns):
            m.d.comb += [self.sum[c].eq(down["sum"][c]), self.overflowed[c].eq(down["overflowed"][c])]
        return m
