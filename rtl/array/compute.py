"""Compute: the convolve unit with all that it moves: scratchpads, systolic array, accumulators."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from emulator.config import AcceleratorConfig
from emulator.timing import OPERAND_CODE_DELAY, packing_delay, rotator_stages

from ..control import PARAMETER_WRITE
from ..memory.scratchpad import Scratchpad
from ..skew import skew
from ..unit import UnitPort
from ..verilog.hierarchy import Placed
from .accumulator_lane import AccumulatorLane
from .convolve_unit import ConvolveUnit
from .output_stationary_element import OutputStationaryElement
from .output_stationary_pair import OutputStationaryPair
from .processing_element import ProcessingElement
from .processing_element_pair import ProcessingElementPair
from .rotator import rotate
from .systolic_array import SystolicArray
from .weight_lane import WeightLane


def make_array(config: AcceleratorConfig) -> SystolicArray:
    """The systolic array of a config."""
    arithmetic, bits = config.arithmetic, config.array_weight_bits
    if config.dataflow == "weight_stationary":
        element, pair = ProcessingElement, ProcessingElementPair
    else:
        element, pair = OutputStationaryElement, OutputStationaryPair
    pairs = config.columns // 2 if config.packed_multipliers else 0
    single = element(arithmetic, bits, packing_delay(config)) if 2 * pairs < config.columns else None
    return SystolicArray(config.rows, config.columns, single, pair(arithmetic, bits) if pairs else None)


class Compute(wiring.Component):
    """Operands enter array row r, weights, sums and their control column c, r and c cycles later than the first one.

    Members
    -------
    port : `UnitPort` of the convolve unit
    positions : a position enters the array in this cycle: rows · columns multiplications
    write_activation, write_weight, write_address, write_data : a row for a scratchpad, lane 0 in bits 0–7
    parameter_writes : `PARAMETER_WRITE` per column, c cycles later than the first column's
    bank_reads : accumulator banks that lane 0 reads for the array in the next cycle; they are not free then
    read, read_address : post-processing reads an accumulator row, in the cycle in which it reaches lane 0
    sums, overflowed : the row of the last `read`, column c's from 2 + c and 3 + c cycles after it on; a sum for each
        bank, of which one is 0
    """

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        self.array = make_array(config)
        self.lane = AccumulatorLane(config)
        self.weight_lane = WeightLane(config.arithmetic) if config.weight_zero_points else None
        super().__init__(
            {
                "port": In(UnitPort()),
                "positions": Out(1),
                "write_activation": In(1),
                "write_weight": In(1),
                "write_address": In(16),
                "write_data": In(8 * max(config.rows, config.columns)),
                "parameter_writes": In(PARAMETER_WRITE).array(config.columns),
                "bank_reads": Out(2),
                "read": In(1),
                "read_address": In(bits_for(config.accumulator_depth - 1)),
                "sums": Out(signed(config.arithmetic.accumulator_bits)).array(config.columns, 2),
                "overflowed": Out(1).array(config.columns),
            }
        )

    @property
    def kinds(self) -> dict[str, wiring.Component]:
        """The components that are written as modules of their own, by name."""
        kinds = {**self.array.kinds, "accumulator_lane": self.lane}
        return kinds if self.weight_lane is None else {**kinds, "weight_lane": self.weight_lane}

    def elaborate(self, platform):
        m = Module()
        config = self.config
        m.submodules.unit = unit = ConvolveUnit(config)
        m.submodules.array = array = self.array
        wiring.connect(m, wiring.flipped(self.port), unit.port)
        m.d.comb += [self.positions.eq(unit.positions), self.bank_reads.eq(unit.bank_reads)]
        self._operands(m, unit, array)
        self._weights(m, unit, array)
        self._sums(m, unit, array)
        return m

    def _operands(self, m: Module, unit: ConvolveUnit, array: SystolicArray) -> None:
        """Codes minus the zero point, 0 where padding, `OPERAND_CODE_DELAY` cycles after the issue; then to rows."""
        config = self.config
        m.submodules.activation = memory = Scratchpad(config.rows, config.activation_depth)
        m.d.comb += [
            memory.write.eq(self.write_activation),
            memory.write_address.eq(self.write_address),
            memory.write_data.eq(self.write_data),
            memory.read.eq(1),  # `inside` tells which rows count
            memory.read_address.eq(unit.activation_address),
        ]
        bits = config.arithmetic.activation_bits
        codes = Signal(8 * config.rows, reset_less=True)
        inside, zero_points = Signal(2), Signal(2 * bits, reset_less=True)
        delay = OPERAND_CODE_DELAY + (0 if array.stationary_weights else rotator_stages(config.rows))
        firsts = Signal(delay + config.rows - 1)
        m.d.sync += [
            codes.eq(memory.data),
            inside.eq(Cat(unit.inside, inside)),
            zero_points.eq(Cat(unit.zero_point, zero_points)),
            firsts.eq(Cat(unit.first, firsts)),
        ]
        zero_point = zero_points[bits:].as_signed()
        operands = [Signal(signed(bits + 1), name=f"operand_{r}", reset_less=True) for r in range(config.rows)]
        for r, operand in enumerate(operands):
            code = codes.word_select(r, 8)[:bits].as_signed()
            m.d.sync += operand.eq(Mux(inside[1], code - zero_point, 0))
        operands = skew(m, operands, "operands")
        if not array.stationary_weights:
            operands = rotate(m, operands[::-1], self._phase(m, unit), "rotated")
        for r, operand in enumerate(operands):
            first = array.swap[r] if array.stationary_weights else array.first[r]
            ahead = array.stationary_weights
            m.d.comb += [array.x[r].eq(operand), first.eq(firsts[delay - 1 - ahead + r])]

    def _phase(self, m: Module, unit: ConvolveUnit) -> Value:
        """Code b of position p leaves the skew while p + b = phase, modulo rows; returns rows − 1 − phase."""
        rows = self.config.rows
        starts = Signal(OPERAND_CODE_DELAY - 1)
        amount = Signal(range(max(rows, 2)), init=rows - 1)
        m.d.sync += [
            starts.eq(Cat(unit.tile_start, starts)),
            amount.eq(Mux(starts[-1] | (amount == 0), rows - 1, amount - 1)),
        ]
        return amount

    def _weights(self, m: Module, unit: ConvolveUnit, array: SystolicArray) -> None:
        """Weight rows, on column 0's bus two cycles after their read."""
        config = self.config
        m.submodules.weight = memory = Scratchpad(config.columns, config.weight_depth)
        m.d.comb += [
            memory.write.eq(self.write_weight),
            memory.write_address.eq(self.write_address),
            memory.write_data.eq(self.write_data),
            memory.read.eq(unit.read_weight),
            memory.read_address.eq(unit.weight_address),
        ]
        bits = config.arithmetic.weight_bits
        codes = Signal(8 * config.columns, reset_less=True)
        m.d.sync += codes.eq(memory.data)
        columns = [codes.word_select(c, 8)[:bits].as_signed() for c in range(config.columns)]
        columns = skew(m, columns, "weights")
        if self.weight_lane is not None:
            columns = self._differences(m, self.weight_lane, columns, unit.weight_entry)
        m.d.comb += [array.weight[c].eq(weight) for c, weight in enumerate(columns)]
        if array.stationary_weights:
            loads = Signal(1 + config.rows)
            m.d.sync += loads.eq(Cat(unit.load, loads))
            m.d.comb += [array.load[r].eq(loads[1 + r]) for r in range(config.rows)]

    def _differences(self, m: Module, lane: WeightLane, codes: list[Value], entry: Value) -> list[Value]:
        """Each column's codes minus their zero points."""
        weights = []
        for c, code in enumerate(codes):
            placed = Placed(lane, "weight_lane", f"_{c}")
            m.submodules[f"weight_lane_{c}"] = placed.instance
            m.d.comb += [
                placed.parameter_write.eq(self.parameter_writes[c]),
                placed.entry.eq(entry),
                placed.code.eq(code),
            ]
            entry = placed.entry_out
            weights.append(placed.weight)
        return weights

    def _sums(self, m: Module, unit: ConvolveUnit, array: SystolicArray) -> None:
        """Accumulator lanes; their control moves to the right."""
        control, read, read_address = unit.accumulate, self.read, self.read_address
        for c in range(self.config.columns):
            lane = Placed(self.lane, "accumulator_lane", f"_{c}")
            m.submodules[f"accumulator_lane_{c}"] = lane.instance
            m.d.comb += [
                lane.control.eq(control),
                lane.read.eq(read),
                lane.read_address.eq(read_address),
                lane.parameter_write.eq(self.parameter_writes[c]),
                array.sum_in[c].eq(lane.start),
                array.overflowed_in[c].eq(lane.start_overflowed),
                lane.result.eq(array.sum[c]),
                lane.result_overflowed.eq(array.overflowed[c]),
                *(here.eq(there) for here, there in zip(self.sums[c], lane.sums, strict=True)),
                self.overflowed[c].eq(lane.overflowed),
            ]
            control, read, read_address = lane.control_out, lane.read_out, lane.read_address_out
