"""PostProcessLane: what follows the accumulators of one column: operand, requantizer, adder, table, counters."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from emulator.config import AcceleratorConfig
from emulator.instructions import COUNTER_ROWS, PARAMETER_ENTRIES, RAW_BYTES, Mode, Opcode
from emulator.registers import LANE_COUNTER_BITS, LANE_COUNTERS
from emulator.timing import OPERAND_DELAY, OPERAND_READ_DELAY, REQUANTIZER_LATENCY, SUM_DELAY, adder_latency

from ..control import PARAMETER_WRITE
from ..fields import fields_layout
from ..memory.block_ram import block_ram
from .adder import Adder, adder_settings
from .product import partial_products
from .requantizer import Requantizer
from .rescaled_adder import RescaledAdder

FIRST_BYTE, BYTES = 4, 5
"""The bytes of a parameter entry that belong to this lane: multiplier (4), shift (1)."""
LANE_COUNTS = data.StructLayout({name: LANE_COUNTER_BITS for name in LANE_COUNTERS})
"""Counters of a lane."""


def lane_settings(config: AcceleratorConfig) -> data.StructLayout:
    """Settings of the lanes, constant while positions are on their way.

    requantize : operands are accumulators (1) or gathered codes (0)
    mode : how codes are gathered, a `Mode`
    first_zero_point, other_zero_point : subtracted from a window's first code and from the others
    zero_point, y_min, y_max : of the requantizer, y_min ≤ y_max
    add, table, counters : a code goes through the adder; through the table; bytes of the counters take its place
    lanes : so many lanes count, this one and those at its right; 0: none of them
    adder : registers of the adder
    byte : where the config has raw outputs: 0, or which byte of the sum takes the place of the requantized code
    """
    return data.StructLayout(
        {
            "requantize": 1,
            "mode": 2,
            "first_zero_point": signed(8),
            "other_zero_point": signed(8),
            "zero_point": signed(8),
            "y_min": signed(8),
            "y_max": signed(8),
            "add": 1,
            "table": 1,
            "counters": 1,
            "lanes": fields_layout(Opcode.REQUANTIZE)["lanes"].width,
            "adder": adder_settings(config.arithmetic),
            **({"byte": 3} if config.raw_outputs else {}),
        }
    )


def lane_control(config: AcceleratorConfig) -> data.StructLayout:
    """Control that travels from lane to lane, one per cycle.

    clear : zero the counters (a run starts)
    first, valid : of a position: the first one of its window; its code counts
    load, entry : take multiplier and shift from this entry of the parameter memory
    overflowed, clipped, add_clipped : count what is at the end of accumulator read, requantizer, adder in this cycle
    counter_row : byte of the counters that becomes a result three cycles later, where the settings say so
    settings : `lane_settings`; each lane has them in registers of its own, near what they steer
    """
    return data.StructLayout(
        {
            "clear": 1,
            "first": 1,
            "valid": 1,
            "load": 1,
            "entry": bits_for(PARAMETER_ENTRIES - 1),
            "overflowed": 1,
            "clipped": 1,
            "add_clipped": 1,
            "counter_row": bits_for(COUNTER_ROWS - 1),
            "settings": lane_settings(config),
        }
    )


class PostProcessLane(wiring.Component):
    """One column's post-processing, one position per cycle.

    Members
    -------
    control, control_out : `lane_control` from the lane at the left; to the lane at the right, one cycle later
    parameter_write, table_write : `PARAMETER_WRITE`, of LOAD
    sum, overflowed : accumulator, three cycles after a position's control
    code : operand, two cycles after a position's control
    result : byte for the output scratchpad, `code_delay` + 2 cycles after a position's control
    counts : `LANE_COUNTS`, 0 where the config has no counters
    """

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        arithmetic = config.arithmetic
        super().__init__(
            {
                "control": In(lane_control(config)),
                "control_out": Out(lane_control(config)),
                "parameter_write": In(PARAMETER_WRITE),
                "table_write": In(PARAMETER_WRITE),
                "sum": In(signed(arithmetic.accumulator_bits)),
                "overflowed": In(1),
                "code": In(signed(arithmetic.activation_bits)),
                "result": Out(8),
                "counts": Out(LANE_COUNTS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        arithmetic, settings = self.config.arithmetic, self.control_out.settings
        lanes, counted = self.control.settings.lanes, Signal()
        m.d.sync += [
            self.control_out.eq(self.control),
            counted.eq(lanes != 0),
            settings.lanes.eq(Mux(lanes != 0, lanes - 1, 0)),
        ]
        valid, operand = self._operand(m)

        m.submodules.requantizer = requantizer = Requantizer(arithmetic)
        m.d.comb += requantizer.operand.eq(operand)
        m.d.comb += [getattr(requantizer, name).eq(settings[name]) for name in ("zero_point", "y_min", "y_max")]
        self._parameters(m, requantizer)

        # The operand's code meets the requantized one, and the requantized one its sum with it.
        delay = OPERAND_DELAY - OPERAND_READ_DELAY + REQUANTIZER_LATENCY
        codes = Signal(delay * (len(self.code) + 1), reset_less=True)
        m.d.sync += codes.eq(Cat(self.code, valid, codes))
        requantized = self._raw(m, requantizer.result) if self.config.raw_outputs else requantizer.result
        m.submodules.adder = adder = (RescaledAdder if arithmetic.adder == "rescaled" else Adder)(arithmetic)
        m.d.comb += [
            adder.settings.eq(settings.adder),
            adder.a.eq(requantized),
            adder.b.eq(codes[-len(self.code) - 1 : -1].as_signed()),
            adder.b_valid.eq(codes[-1]),
        ]
        passed = Signal(8 * adder_latency(arithmetic), reset_less=True)
        m.d.sync += passed.eq(Cat(requantized, passed))

        m.submodules.table = table = block_ram(8, 1 << arithmetic.activation_bits)
        write, read = table.write_port(), table.read_port()
        code, looked_up = Signal(8), Signal(8, reset_less=True)
        top = arithmetic.activation_bits - 1
        m.d.comb += [
            write.en.eq(self.table_write.write),
            write.addr.eq(self.table_write.address),
            write.data.eq(self.table_write.data),
            code.eq(Mux(settings.add, adder.result, passed[-8:])),
            read.addr.eq(Cat(code[:top], ~code[top])),
            read.en.eq(1),
        ]
        byte = self._counters(m, counted, requantizer.clipped, adder.clipped) if self.config.counters else C(0, 8)
        kept = [Signal(8, name=f"kept_{i}", reset_less=True) for i in range(2)]
        m.d.sync += [
            kept[0].eq(Mux(settings.counters, byte, code)),
            kept[1].eq(kept[0]),
            looked_up.eq(read.data),  # a memory's data come late in their cycle
            self.result.eq(Mux(settings.table, looked_up, kept[1])),
        ]
        return m

    def _operand(self, m: Module) -> tuple[Value, Value]:
        """(whether the code here counts, the requantizer's operand: an accumulator, or what a window has gathered)."""
        arithmetic, settings = self.config.arithmetic, self.control_out.settings
        flags = Signal(data.ArrayLayout(data.StructLayout({"first": 1, "valid": 1}), 4), reset_less=True)
        m.d.sync += flags.eq(Cat(self.control.first, self.control.valid, flags))

        difference = Signal(signed(9), reset_less=True)
        zero_point = Mux(flags[1].first, settings.first_zero_point, settings.other_zero_point)
        m.d.sync += difference.eq(Mux(flags[1].valid, self.code - zero_point, 0))

        first, valid = flags[2].first, flags[2].valid
        gathered = Signal(signed(arithmetic.operand_bits), reset_less=True)
        with m.If(settings.requantize):
            m.d.sync += gathered.eq(self.sum)
        with m.Elif(settings.mode == Mode.SUM):
            m.d.sync += gathered.eq(Mux(first, 0, gathered) + difference)
        with m.Elif(first):
            least = Mux(settings.mode == Mode.MAXIMUM, arithmetic.activation_range[0], 0)
            m.d.sync += gathered.eq(Mux(valid, difference, least))
        with m.Elif(valid & (settings.mode == Mode.MAXIMUM)):
            m.d.sync += gathered.eq(Mux(difference > gathered[:9].as_signed(), difference, gathered))

        held, factor = Signal(signed(9), reset_less=True), Signal(signed(9), reset_less=True)
        products = partial_products(held, factor)
        terms = [Signal(p.shape(), name=f"product_{i}", reset_less=True) for i, p in enumerate(products)]
        is_product = Signal(reset_less=True)
        operand = Signal.like(gathered, reset_less=True)
        m.d.sync += [operand.eq(gathered), *(t.eq(p) for t, p in zip(terms, products, strict=True))]
        with m.If(first):
            m.d.sync += held.eq(difference)
        with m.If(valid):
            m.d.sync += factor.eq(difference)
        with m.If(flags[3].first):
            m.d.sync += is_product.eq(0)
        with m.Elif(flags[3].valid & (settings.mode == Mode.PRODUCT)):
            m.d.sync += is_product.eq(1)
        return flags[1].valid, Mux(is_product, sum(terms[1:], terms[0]), operand)

    def _raw(self, m: Module, code: Value) -> Value:
        """The requantized code, or the byte of the sum that the settings ask for."""
        byte, extended = self.control_out.settings.byte, Signal(signed(8 * RAW_BYTES))
        line = Signal(8 * (OPERAND_DELAY - SUM_DELAY + REQUANTIZER_LATENCY), reset_less=True)
        m.d.comb += extended.eq(self.sum)
        m.d.sync += line.eq(Cat(extended.word_select((byte - 1)[:3], 8), line))
        return Mux(byte == 0, code, line[-8:].as_signed())

    def _parameters(self, m: Module, requantizer: Requantizer) -> None:
        """The parameter memory, and the registers with the entry in use."""
        m.submodules.parameters = parameters = Memory(shape=8 * BYTES, depth=PARAMETER_ENTRIES, init=[])
        write, read = parameters.write_port(granularity=8), parameters.read_port(domain="comb")
        byte = self.parameter_write.address[:4]
        multiplier, shift = Signal.like(requantizer.multiplier), Signal.like(requantizer.shift)
        m.d.comb += [
            write.en.eq(Cat(self.parameter_write.write & (byte == FIRST_BYTE + index) for index in range(BYTES))),
            write.addr.eq(self.parameter_write.address[4:]),
            write.data.eq(self.parameter_write.data.replicate(BYTES)),
            read.addr.eq(self.control.entry),
            requantizer.multiplier.eq(multiplier),
            requantizer.shift.eq(shift),
        ]
        with m.If(self.control.load):
            m.d.sync += [multiplier.eq(read.data), shift.eq(read.data[32:])]

    def _counters(self, m: Module, counted: Value, clipped: Value, add_clipped: Value) -> Value:
        """Count where this lane is `counted`; returns the byte that the control asks for."""
        for name, event in (("overflowed", self.overflowed), ("clipped", clipped), ("add_clipped", add_clipped)):
            hit = Signal(name=f"{name}_hit")
            m.d.sync += hit.eq(self.control[name] & event & counted)
            with m.If(self.control.clear):
                m.d.sync += self.counts[name].eq(0)
            with m.Elif(hit):
                m.d.sync += self.counts[name].eq(self.counts[name] + 1)
        return self.counts.as_value().word_select(self.control.counter_row, 8)
