"""Post-process unit: executes REQUANTIZE, POOL, PARAMETERS and COUNTERS by steering the column lanes."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from emulator.config import AcceleratorConfig
from emulator.instructions import COUNTER_ROWS, INSTRUCTION_BITS, PARAMETER_ROWS, Opcode
from emulator.timing import PREPARE_CYCLES, RESULT_LATENCY, post_process_drain_cycles

from .control import post_processing
from .fields import fields_layout
from .window import Window

ADDRESS = 17
"""Width of a row counter: one bit more than a row field, so that it never wraps into a memory."""
OPCODES = (Opcode.REQUANTIZE, Opcode.POOL, Opcode.PARAMETERS, Opcode.COUNTERS)


class PostProcessUnit(wiring.Component):
    """One step per cycle: an accumulator row, a window position, a parameter row or a counter row.

    Members
    -------
    instruction : the whole instruction, constant from `start` on
    start, done, fault : begin; the last cycle of the execution; with `done`: stopped at an address outside a memory
    settings : of the lanes' requantizers and pools
    sum_address, code_address, pool_first, pool_valid, code_write, code_write_address, parameter_shift, counter_write :
        control of column lane 0
    """

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        code = bits_for(config.output_depth - 1)
        super().__init__(
            {
                "instruction": In(INSTRUCTION_BITS),
                "start": In(1),
                "done": Out(1),
                "fault": Out(1),
                "settings": Out(post_processing(config)),
                "sum_address": Out(bits_for(config.accumulator_depth - 1)),
                "code_address": Out(code),
                "pool_first": Out(1),
                "pool_valid": Out(1),
                "code_write": Out(1),
                "code_write_address": Out(code),
                "parameter_shift": Out(1),
                "counter_write": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        requantize, pool, parameters, counters = (
            data.View(fields_layout(opcode), self.instruction) for opcode in OPCODES
        )
        is_requantize, is_pool, is_parameters, is_counters = (self.instruction[:8] == opcode for opcode in OPCODES)
        m.submodules.window = window = Window()
        m.d.comb += [getattr(window, name).eq(pool[name]) for name in window.geometry]
        m.d.comb += [window.base.eq(pool.input_row), window.pixel_rows.eq(1), window.start.eq(self.start)]
        m.d.comb += [
            self.settings.pool.eq(is_pool),
            self.settings.average.eq(pool.average),
            self.settings.input_zero_point.eq(pool.input_zero_point),
        ]
        m.d.comb += [
            self.settings[name].eq(Mux(is_pool, pool[name], requantize[name]))
            for name in ("zero_point", "y_min", "y_max")
        ]

        running, outside, step, finishes, result = (
            Signal(name=name) for name in ("running", "outside", "step", "finishes", "result")
        )
        index, reading, writing = Signal(16), Signal(ADDRESS), Signal(ADDRESS)
        first = Signal()
        depth = config.output_depth
        with m.If(is_requantize):
            m.d.comb += [
                outside.eq((reading >= config.accumulator_depth) | (writing >= depth)),
                finishes.eq(index == requantize.count - 1),
                result.eq(1),
            ]
        with m.Elif(is_pool):
            m.d.comb += [
                outside.eq((first & (writing >= depth)) | (window.valid & (window.address >= depth))),
                finishes.eq(window.last_kernel & window.last_position),
                result.eq(window.last_kernel),
            ]
        with m.Elif(is_parameters):
            m.d.comb += [outside.eq(reading >= depth), finishes.eq(index == PARAMETER_ROWS - 1)]
        with m.Else():
            m.d.comb += [outside.eq(writing >= depth), finishes.eq(index == COUNTER_ROWS - 1)]
        m.d.comb += [
            step.eq(running & ~outside),
            window.next_kernel.eq(step),
            window.next_position.eq(step & window.last_kernel),
        ]
        with m.If(step):
            m.d.sync += [index.eq(index + 1), reading.eq(reading + 1), first.eq(window.last_kernel)]
            with m.If(result | is_counters):
                m.d.sync += writing.eq(writing + 1)

        results = Signal(data.ArrayLayout(data.StructLayout({"valid": 1, "row": ADDRESS}), RESULT_LATENCY + 1))
        m.d.sync += results.eq(Cat(step & result, writing, results))
        m.d.sync += [
            self.sum_address.eq(reading),
            self.code_address.eq(Mux(is_pool, window.address, reading)),
            self.pool_first.eq(first),
            self.pool_valid.eq(window.valid),
            self.parameter_shift.eq(step & is_parameters),
            self.counter_write.eq(step & is_counters),
        ]
        counter_row = Signal(ADDRESS)
        m.d.sync += counter_row.eq(writing)
        m.d.comb += [
            self.code_write.eq(results[-1].valid),
            self.code_write_address.eq(Mux(self.counter_write, counter_row, results[-1].row)),
        ]

        prepare = Signal(range(PREPARE_CYCLES))
        drain = Signal(range(post_process_drain_cycles(config)))
        with m.FSM():
            with m.State("IDLE"):
                with m.If(self.start):
                    m.d.sync += [self.fault.eq(0), prepare.eq(PREPARE_CYCLES - 2), index.eq(0), first.eq(1)]
                    m.d.sync += [
                        reading.eq(Mux(is_requantize, requantize.accumulator_row, parameters.row)),
                        writing.eq(
                            Mux(is_requantize, requantize.output_row, Mux(is_pool, pool.output_row, counters.row))
                        ),
                    ]
                    m.next = "PREPARE"
            with m.State("PREPARE"):
                m.d.sync += prepare.eq(prepare - 1)
                with m.If(prepare == 0):
                    m.next = "RUN"
            with m.State("RUN"):
                m.d.comb += running.eq(1)
                m.d.sync += [drain.eq(post_process_drain_cycles(config) - 1), self.fault.eq(outside)]
                with m.If(outside | finishes):
                    m.next = "DRAIN"
            with m.State("DRAIN"):
                m.d.sync += drain.eq(drain - 1)
                with m.If(drain == 0):
                    m.d.comb += self.done.eq(1)
                    m.next = "IDLE"
        return m
