"""Column lane: everything of one array column beside the array: weight bank, accumulators and post-processing."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from emulator.config import AcceleratorConfig
from emulator.instructions import COUNTER_ROWS, PARAMETER_ROWS
from emulator.timing import REQUANTIZER_LATENCY

from .control import column_control, post_processing
from .requantizer import Requantizer


class ColumnLane(wiring.Component):
    """One lane: reads weights, feeds and collects partial sums, requantizes, pools, counts.

    Members
    -------
    control, control_out : from the lane at the left; to the lane at the right, one cycle later
    settings : post-processing settings, constant while an instruction executes
    clear : zero the counters (a run starts)
    weight : to the column's processing elements, one cycle after its control
    sum, overflowed : to the column's top, one cycle after its control
    sum_in, overflowed_in : from the column's bottom
    weight_write, bank_write, write_address, write_data : the loader's port of the weight and the output bank
    store_address, code : the storer's port of the output bank; data follow one cycle later
    store : whether `store_address` (1) or the control (0) addresses the output bank
    """

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        arithmetic = config.arithmetic
        total = signed(arithmetic.accumulator_bits)
        super().__init__(
            {
                "control": In(column_control(config)),
                "control_out": Out(column_control(config)),
                "settings": In(post_processing(config)),
                "clear": In(1),
                "weight": Out(signed(arithmetic.weight_bits)),
                "sum": Out(total),
                "overflowed": Out(1),
                "sum_in": In(total),
                "overflowed_in": In(1),
                "weight_write": In(1),
                "bank_write": In(1),
                "write_address": In(bits_for(max(config.weight_depth, config.output_depth) - 1)),
                "write_data": In(8),
                "store": In(1),
                "store_address": In(bits_for(config.output_depth - 1)),
                "code": Out(8),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, arithmetic, control = self.config, self.config.arithmetic, self.control
        m.d.sync += self.control_out.eq(control)

        m.submodules.weights = weights = Memory(shape=8, depth=config.weight_depth, init=[])
        write, read = weights.write_port(), weights.read_port()
        m.d.comb += [
            write.en.eq(self.weight_write),
            write.addr.eq(self.write_address),
            write.data.eq(self.write_data),
            read.en.eq(1),
            read.addr.eq(control.weight_address),
            self.weight.eq(read.data[: arithmetic.weight_bits].as_signed()),
        ]

        parameters = Signal(8 * PARAMETER_ROWS)
        bias = parameters[: arithmetic.bias_bits].as_signed()

        entry = arithmetic.accumulator_bits + 1
        m.submodules.accumulators = accumulators = Memory(shape=entry, depth=config.accumulator_depth, init=[])
        write, read = accumulators.write_port(), accumulators.read_port()
        carry = Signal()
        m.d.sync += carry.eq(control.carry)
        m.d.comb += [
            write.en.eq(control.sum_write),
            write.addr.eq(control.sum_address),
            write.data.eq(Cat(self.sum_in, self.overflowed_in)),
            read.en.eq(1),
            read.addr.eq(control.accumulator_address),
            self.sum.eq(Mux(carry, read.data[:-1].as_signed(), bias)),
            self.overflowed.eq(carry & read.data[-1]),
        ]
        accumulator, flag = read.data[:-1].as_signed(), read.data[-1]

        m.submodules.codes = codes = Memory(shape=8, depth=config.output_depth, init=[])
        write, read = codes.write_port(), codes.read_port()
        m.d.comb += [
            read.en.eq(1),
            read.addr.eq(Mux(self.store, self.store_address, control.code_address)),
            self.code.eq(read.data),
        ]
        shift_in = Signal()
        m.d.sync += shift_in.eq(control.parameter_shift)
        with m.If(shift_in):
            m.d.sync += parameters.eq(Cat(parameters[8:], read.data))

        operand = self._operand(m, accumulator, read.data[: arithmetic.activation_bits].as_signed())
        m.submodules.requantizer = requantize = Requantizer(arithmetic)
        m.d.comb += [
            requantize.operand.eq(operand),
            requantize.multiplier.eq(parameters[32 : 32 + arithmetic.multiplier_bits]),
            requantize.shift.eq(parameters[64:70]),
            requantize.zero_point.eq(self.settings.zero_point),
            requantize.y_min.eq(self.settings.y_min),
            requantize.y_max.eq(self.settings.y_max),
        ]
        counter_byte = self._counters(m, flag, requantize.clipped) if config.counters else C(0, 8)
        m.d.comb += [
            write.en.eq(self.bank_write | control.code_write | control.counter_write),
            write.addr.eq(Mux(self.bank_write, self.write_address, control.code_write_address)),
            write.data.eq(
                Mux(self.bank_write, self.write_data, Mux(control.counter_write, counter_byte, requantize.result))
            ),
        ]
        return m

    def _operand(self, m: Module, accumulator: Value, code: Value) -> Value:
        """The requantizer's operand register: an accumulator, or what a window has gathered so far."""
        arithmetic, settings = self.config.arithmetic, self.settings
        operand = Signal(signed(arithmetic.operand_bits), reset_less=True)
        first, valid = Signal(), Signal()
        m.d.sync += [first.eq(self.control.pool_first), valid.eq(self.control.pool_valid)]
        so_far = Mux(first, Mux(settings.average, 0, arithmetic.activation_range[0]), operand)
        with m.If(~settings.pool):
            m.d.sync += operand.eq(accumulator)
        with m.Elif(~valid):
            m.d.sync += operand.eq(so_far)
        with m.Elif(settings.average):
            m.d.sync += operand.eq(so_far + (code - settings.input_zero_point))
        with m.Else():
            m.d.sync += operand.eq(Mux(code > so_far, code, so_far))
        return operand

    def _counters(self, m: Module, flag: Value, clipped: Value) -> Value:
        """Overflowed accumulations and clipped outputs, counted where a code is written; returns their lowest byte."""
        flags = Signal(1 + REQUANTIZER_LATENCY)
        overflows = Signal(32)
        clips = Signal(32)
        m.d.sync += flags.eq(Cat(flag & ~self.settings.pool, flags))
        with m.If(self.clear):
            m.d.sync += [overflows.eq(0), clips.eq(0)]
        with m.Elif(self.control.counter_write):
            m.d.sync += Cat(overflows, clips).eq(Cat(overflows, clips)[8:])
        with m.Elif(self.control.code_write):
            m.d.sync += [overflows.eq(overflows + flags[-1]), clips.eq(clips + clipped)]
        assert len(overflows) + len(clips) == 8 * COUNTER_ROWS
        return overflows[:8]
