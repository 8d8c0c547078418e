"""PostProcessing: the post-process unit with its scratchpads and lanes, as one component."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from emulator.config import AcceleratorConfig

from ..control import PARAMETER_WRITE
from ..memory.scratchpad import Scratchpad
from ..skew import deskew, skew
from ..unit import UnitPort
from ..verilog.hierarchy import Placed
from .post_process_lane import LANE_COUNTS, PostProcessLane
from .post_process_unit import PostProcessUnit


class PostProcessing(wiring.Component):
    """Executes REQUANTIZE, REDUCE, ADDER and COUNTERS.

    Members
    -------
    port : the sequencer's view
    write_operand, write_address, write_data : LOAD writes a row of the operand scratchpad
    parameter_writes, table_writes : LOAD's writes of each lane's memories, lane c's c cycles after lane 0's
    accumulator_address : row for accumulator lane 0 to read
    sum, overflowed : what lane c has read, three cycles after its address
    bank_reads : accumulator banks that CONVOLVE reads at lane 0 in the next cycle
    output_read, output_address, output_data : STORE reads a row of the output scratchpad, one cycle later
    counts : counters of the lanes
    """

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        self.lane = PostProcessLane(config)
        columns = config.columns
        super().__init__(
            {
                "port": In(UnitPort()),
                "write_operand": In(1),
                "write_address": In(16),
                "write_data": In(8 * columns),
                "parameter_writes": In(PARAMETER_WRITE).array(columns),
                "table_writes": In(PARAMETER_WRITE).array(columns),
                "accumulator_address": Out(bits_for(config.accumulator_depth - 1)),
                "sum": In(signed(config.arithmetic.accumulator_bits)).array(columns),
                "overflowed": In(1).array(columns),
                "bank_reads": In(2),
                "output_read": In(1),
                "output_address": In(bits_for(config.output_depth - 1)),
                "output_data": Out(8 * columns),
                "counts": Out(LANE_COUNTS).array(columns),
            }
        )

    def kinds(self) -> dict[str, wiring.Component]:
        """What `hierarchy.modules` has to write beside the component."""
        return {"post_process_lane": self.lane}

    def elaborate(self, platform):
        m = Module()
        config = self.config
        m.submodules.unit = unit = PostProcessUnit(config)
        m.submodules.operands = operands = Scratchpad(config.columns, config.operand_depth)
        m.submodules.outputs = outputs = Scratchpad(config.columns, config.output_depth)
        wiring.connect(m, wiring.flipped(self.port), unit.port)
        m.d.comb += [
            unit.bank_reads.eq(self.bank_reads),
            self.accumulator_address.eq(unit.accumulator_address),
            operands.write.eq(self.write_operand),
            operands.write_address.eq(self.write_address),
            operands.write_data.eq(self.write_data),
            operands.read.eq(unit.operand_read),
            operands.read_address.eq(unit.operand_address),
            outputs.write.eq(unit.output_write),
            outputs.write_address.eq(unit.output_address),
            outputs.read.eq(self.output_read),
            outputs.read_address.eq(self.output_address),
            self.output_data.eq(outputs.data),
        ]

        bits = config.arithmetic.activation_bits
        row = Signal(8 * config.columns, reset_less=True)
        m.d.sync += row.eq(operands.data)
        codes = skew(m, [row[8 * c : 8 * c + bits] for c in range(config.columns)], "code")
        lanes = [Placed(self.lane, "post_process_lane", c) for c in range(config.columns)]
        for c, lane in enumerate(lanes):
            m.submodules[f"lane_{c}"] = lane.instance
            m.d.comb += [
                Value.cast(lane.control).eq(Value.cast(lanes[c - 1].control_out if c else unit.control)),
                Value.cast(lane.parameter_write).eq(Value.cast(self.parameter_writes[c])),
                Value.cast(lane.table_write).eq(Value.cast(self.table_writes[c])),
                lane.sum.eq(self.sum[c]),
                lane.overflowed.eq(self.overflowed[c]),
                lane.code.eq(codes[c].as_signed()),
                Value.cast(self.counts[c]).eq(Value.cast(lane.counts)),
            ]
        m.d.comb += outputs.write_data.eq(Cat(deskew(m, [lane.result for lane in lanes], "result")))
        return m
