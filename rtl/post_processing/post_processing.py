"""PostProcessing: the post-process unit with its scratchpads and lanes, as one component."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from emulator.config import AcceleratorConfig

from ..control import PARAMETER_WRITE, TABLE_WRITE
from ..memory.scratchpad import Scratchpad
from ..skew import deskew, skew
from ..unit import UnitPort
from ..verilog.hierarchy import Placed
from .depthwise_chain import depthwise_write
from .lane_counters import COUNTER_BYTE
from .post_process_lane import PostProcessLane
from .post_process_unit import PostProcessUnit


class PostProcessing(wiring.Component):
    """Executes REQUANTIZE, REDUCE, DEPTHWISE, ADDER and COUNTERS.

    Members
    -------
    port : the sequencer's view
    write_operand, write_address, write_data : LOAD writes a row of the operand scratchpad
    parameter_writes, table_writes, depthwise_writes : LOAD's writes of each column's memories, column c's c cycles
        after column 0's
    accumulator_read, accumulator_address : accumulator lane 0 reads a row
    sums, overflowed : what accumulator lane c has read last, from two and three cycles after its address on, for each
        bank
    bank_reads : accumulator banks that CONVOLVE reads at lane 0 in the next cycle
    output_read, output_address, output_data : STORE reads a row of the output scratchpad, one cycle later
    counts : bytes of the columns' counters, as they are visited
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
                "table_writes": In(TABLE_WRITE).array(columns),
                **({"depthwise_writes": In(depthwise_write(config)).array(columns)} if config.depthwise_taps else {}),
                "accumulator_read": Out(1),
                "accumulator_address": Out(bits_for(config.accumulator_depth - 1)),
                "sums": In(signed(config.arithmetic.accumulator_bits)).array(columns, 2),
                "overflowed": In(1).array(columns),
                "bank_reads": In(2),
                "output_read": In(1),
                "output_address": In(bits_for(config.output_depth - 1)),
                "output_data": Out(8 * columns),
                "counts": Out(COUNTER_BYTE).array(columns),
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
            self.accumulator_read.eq(unit.accumulator_read),
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
        line_codes = self._line_codes(m, unit) if config.depthwise_taps else []
        shared, results = config.lane_columns, []
        control, settings = unit.control, unit.settings
        for index in range(config.columns // shared):
            lane = Placed(self.lane, "post_process_lane", index)
            m.submodules[f"lane_{index}"] = lane.instance
            m.d.comb += [
                Value.cast(lane.control).eq(Value.cast(control)),
                Value.cast(lane.settings).eq(Value.cast(settings)),
            ]
            control, settings = lane.control_out, lane.settings_out
            for place in range(shared):
                c = index * shared + place
                m.d.comb += [
                    Value.cast(lane.parameter_write[place]).eq(Value.cast(self.parameter_writes[c])),
                    Value.cast(lane.table_write[place]).eq(Value.cast(self.table_writes[c])),
                    *(to.eq(total) for to, total in zip(lane.sums[place], self.sums[c], strict=True)),
                    lane.overflowed[place].eq(self.overflowed[c]),
                    lane.code[place].eq(codes[c].as_signed()),
                    Value.cast(self.counts[c]).eq(Value.cast(lane.counts[place])),
                ]
                results.append(lane.result)
                if config.depthwise_taps:
                    m.d.comb += Value.cast(lane.depthwise_write[place]).eq(Value.cast(self.depthwise_writes[c]))
                for k, line in enumerate(line_codes, 1):
                    m.d.comb += getattr(lane, f"line_code_{k}")[place].eq(line[c].as_signed())
        m.d.comb += outputs.write_data.eq(Cat(deskew(m, results, "result")))
        return m

    def _line_codes(self, m: Module, unit: PostProcessUnit) -> list[list[Value]]:
        """Of each further stream of a DEPTHWISE, which reads a copy of the operand scratchpad, the columns' codes."""
        columns, bits, made = self.config.columns, self.config.arithmetic.activation_bits, []
        for k, (read, address) in enumerate(zip(unit.line_read, unit.line_address, strict=True), 1):
            m.submodules[f"operands_{k}"] = copy = Scratchpad(columns, self.config.operand_depth)
            row = Signal(8 * columns, name=f"row_{k}", reset_less=True)
            m.d.comb += [
                copy.write.eq(self.write_operand),
                copy.write_address.eq(self.write_address),
                copy.write_data.eq(self.write_data),
                copy.read.eq(read),
                copy.read_address.eq(address),
            ]
            m.d.sync += row.eq(copy.data)
            made.append(skew(m, [row[8 * c : 8 * c + bits] for c in range(columns)], f"code_{k}"))
        return made
