"""PostProcessLane: what follows the accumulators of its columns: operand, requantizer, adder, table, counters."""

from functools import reduce
from operator import or_

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Member, Out

from emulator.config import AcceleratorConfig
from emulator.instructions import PARAMETER_ENTRIES, RAW_BYTES, WEIGHT_ZERO_POINT_ROW
from emulator.timing import OPERAND_DELAY, OPERAND_READ_DELAY, REQUANTIZER_LATENCY, adder_latency, code_delay

from ..control import PARAMETER_WRITE, TABLE_WRITE
from ..memory.block_ram import block_ram
from .adder import Adder
from .depthwise_chain import DepthwiseChain, depthwise_write, streams
from .gather import Gather
from .lane_counters import COUNTER_BYTE, LaneCounters
from .lane_layouts import lane_control, lane_settings
from .requantizer import Requantizer
from .rescaled_adder import RescaledAdder

BIAS_BYTES = 4
"""The first bytes of a parameter entry, which belong to a chain."""
FIRST_BYTE, SHIFT_BYTE = 4, 8
"""The first byte of a parameter entry that belongs to this lane, the multiplier's lowest, and the shift."""


class PostProcessLane(wiring.Component):
    """Post-processing of one column, a position per cycle, or of some columns, a position in as many cycles.

    A position reaches each column a cycle after the one at its left: its columns take turns in what they share.

    Members
    -------
    control, control_out : `lane_control` from the column at the left; to the one at the right
    settings, settings_out : `lane_settings`, likewise, from lane to lane; each has registers of its own
    parameter_write, table_write : `PARAMETER_WRITE` and `TABLE_WRITE`, of LOAD, to each column
    sums, overflowed : accumulators of the columns, two and three cycles after a position's control; of the sums of a
        column's banks one is 0
    code : operands, two cycles after a position's control
    line_code_K, depthwise_write : for a column's chain, where there is one: codes of its further streams, two cycles
        after their `valid`; `depthwise_write` of LOAD
    result : byte for the output scratchpad, `code_delay` + 2 cycles after a position's control, the columns' in turn
    counts : `COUNTER_BYTE` of each column, a cycle later; `NO_PLACE` always where the config has no counters
    """

    def __init__(self, config: AcceleratorConfig):
        self.config, self.columns = config, config.lane_columns
        arithmetic, columns = config.arithmetic, self.columns
        super().__init__(
            {
                "control": In(lane_control(config)),
                "control_out": Out(lane_control(config)),
                "settings": In(lane_settings(config)),
                "settings_out": Out(lane_settings(config)),
                "parameter_write": In(PARAMETER_WRITE).array(columns),
                "table_write": In(TABLE_WRITE).array(columns),
                "sums": In(signed(arithmetic.accumulator_bits)).array(columns, 2),
                "overflowed": In(1).array(columns),
                "code": In(signed(arithmetic.activation_bits)).array(columns),
                **(self._chain_members() if config.depthwise_taps else {}),
                "result": Out(8),
                "counts": Out(COUNTER_BYTE).array(columns),
            }
        )

    def _chain_members(self) -> dict[str, Member]:
        code = In(signed(self.config.arithmetic.activation_bits)).array(self.columns)
        return {
            "depthwise_write": In(depthwise_write(self.config)).array(self.columns),
            **{f"line_code_{k}": code for k in range(1, streams(self.config))},
        }

    def elaborate(self, platform):
        m = Module()
        arithmetic, settings = self.config.arithmetic, self.settings_out
        self._travel(m)
        self._chains = [self._chain(m, c) for c in range(self.columns)] if self.config.depthwise_taps else []
        operand, code, valid = self._operand(m)

        m.submodules.requantizer = requantizer = Requantizer(arithmetic, streamed=self.columns > 1)
        m.d.comb += requantizer.operand.eq(operand)
        m.d.comb += [getattr(requantizer, name).eq(settings[name]) for name in ("zero_point", "y_min", "y_max")]
        self._parameters(m, requantizer)

        # The operand's code meets the requantized one, and the requantized one its sum with it.
        delay = OPERAND_DELAY - OPERAND_READ_DELAY + REQUANTIZER_LATENCY - 1
        codes = Signal(delay * (len(code) + 1), reset_less=True)
        m.d.sync += codes.eq(Cat(code, valid, codes))
        requantized = self._raw(m, operand, requantizer.result) if self.config.raw_outputs else requantizer.result
        m.submodules.adder = adder = (RescaledAdder if arithmetic.adder == "rescaled" else Adder)(arithmetic)
        m.d.comb += [
            adder.settings.eq(settings.adder),
            adder.a.eq(requantized),
            adder.b.eq(codes[-len(code) - 1 : -1].as_signed()),
            adder.b_valid.eq(codes[-1]),
        ]
        passed = Signal(8 * adder_latency(arithmetic), reset_less=True)
        m.d.sync += passed.eq(Cat(requantized, passed))
        added = Signal(8)
        m.d.comb += added.eq(Mux(settings.add, adder.result, passed[-8:]))
        byte = self._counters(m, requantizer.clipped, adder.clipped) if self.config.counters else C(0, 8)

        # A byte of the counters or the code; that or what the table has in its place: of two, one is 0.
        kept = [Signal(8, name=f"kept_{i}", reset_less=True) for i in range(2)]
        m.d.sync += [
            kept[0].eq(Mux(settings.counters, 0, added)),
            kept[1].eq(Mux(settings.table, 0, kept[0] | byte)),
            self.result.eq(kept[1] | self._tables(m, added)),
        ]
        return m

    def _travel(self, m: Module) -> None:
        """Control of each column; settings; whose turn it is."""
        control = [self.control]
        for column in range(1, self.columns):
            control.append(Signal(self.control.shape(), name=f"control_{column}"))
        for here, following in zip(control, [*control[1:], self.control_out], strict=True):
            m.d.sync += following.eq(here)
        lanes, settings = self.settings.lanes, self.settings_out
        self._counted = [Signal(name=f"counted_{column}") for column in range(self.columns)]
        m.d.sync += [
            settings.eq(self.settings),
            settings.lanes.eq(Mux(lanes > self.columns, lanes - self.columns, 0)),
            *(counted.eq(lanes > column) for column, counted in enumerate(self._counted)),
        ]
        self._control = control
        # Bit i: column 0 had a result's control i + 1 cycles ago.
        self._results = Signal(code_delay(self.config.arithmetic) + self.columns)
        if self.columns > 1:
            m.d.sync += self._results.eq(Cat(self.control.result, self._results))

    def _turn(self, column: int, age: int) -> Value:
        """Whether the result with control at `column` `age` > 0 cycles ago is there; always, where it has no others."""
        return self._results[column + age - 1] if self.columns > 1 else C(1, 1)

    def _in_turn(self, m: Module, name: str, age: int, values: list[Value], never: Value | None = None) -> Value:
        """The columns' values of `age` cycles, each in its turn, a cycle later; others, and where `never`, are 0."""
        registers = []
        for column, value in enumerate(values):
            register = Signal(value.shape(), name=f"{name}_{column}", reset_less=True)
            turn = self._turn(column, age) if never is None else self._turn(column, age) & ~never
            m.d.sync += register.eq(Mux(turn, value, 0))
            registers.append(register)
        return _either(registers)

    def _chain(self, m: Module, column: int) -> DepthwiseChain:
        """A column's chain, and the differences that its steps take."""
        chain, control = DepthwiseChain(self.config), self._control[column].chain
        m.submodules[f"chain_{column}"] = chain
        codes = [getattr(self, f"line_code_{k}" if k else "code")[column] for k in range(streams(self.config))]
        valid = [Signal(len(codes), name=f"stream_valid_{column}_{i}", reset_less=True) for i in range(2)]
        m.d.sync += [valid[0].eq(control.valid), valid[1].eq(valid[0])]
        for k, code in enumerate(codes):
            difference = Signal(signed(9), name=f"difference_{column}_{k}", reset_less=True)
            m.d.sync += difference.eq(Mux(valid[1][k], code - self.settings_out.first_zero_point, 0))
            m.d.comb += chain.difference[k].eq(difference)
        m.d.comb += [chain.control.eq(control), chain.write.eq(self.depthwise_write[column])]
        return chain

    def _operand(self, m: Module) -> tuple[Value, Value, Value]:
        """The requantizer's operand; three cycles after its control, a position's code and whether it counts."""
        settings, gathers = self.settings_out, []
        flags, idle = [], settings.requantize
        if self._chains:
            idle |= settings.depthwise
        for column, control in enumerate(self._control):
            m.submodules[f"gather_{column}"] = gather = Gather(self.config.arithmetic)
            flag = Signal(data.ArrayLayout(data.StructLayout({"first": 1, "valid": 1}), 2), name=f"flags_{column}")
            m.d.sync += flag.eq(Cat(control.first, control.valid, flag))
            names = ("mode", "first_zero_point", "other_zero_point")
            m.d.comb += gather.idle.eq(idle)
            m.d.comb += [getattr(gather, name).eq(settings[name]) for name in names]
            m.d.comb += [gather.first.eq(flag[1].first), gather.valid.eq(flag[1].valid)]
            m.d.comb += gather.code.eq(self.code[column])
            gathers.append(gather)
            flags.append(flag[1].valid)
        gathered = [Mux(gather.is_product, 0, gather.gathered) for gather in gathers]
        of_window = self._in_turn(m, "gathered", OPERAND_DELAY - 2, gathered)
        held, factor = (
            _either([Mux(self._turn(c, OPERAND_DELAY - 2), getattr(g, name), 0) for c, g in enumerate(gathers)])
            for name in ("held", "factor")
        )
        product = Signal(signed(18), reset_less=True)
        m.d.sync += product.eq(held * factor)
        packed = [Cat(code, valid) for code, valid in zip(self.code, flags, strict=True)]
        code = self._in_turn(m, "code", OPERAND_READ_DELAY - 1, packed)
        return (of_window | self._sum(m) | product).as_signed(), code[:-1], code[-1]

    def _sum(self, m: Module) -> Value:
        """The column's accumulator, or what its chain has made; 0 where codes are gathered."""
        settings, total = self.settings_out, signed(self.config.arithmetic.accumulator_bits)
        read, late = (Signal(total, name=name, reset_less=True) for name in ("sum", "sum_late"))
        age, never = OPERAND_DELAY - 4, ~settings.requantize
        banks = [self._in_turn(m, f"bank_{k}", age, [sums[k] for sums in self.sums], never) for k in range(2)]
        value = _either(banks)
        if self._chains:
            value = Mux(settings.depthwise, self._chains[0].sum, value)
        m.d.sync += [read.eq(value), late.eq(read)]
        return late

    def _raw(self, m: Module, operand: Value, code: Value) -> Value:
        """The requantized code, or the byte of the sum that the settings ask for."""
        byte, extended = self.settings_out.byte, Signal(signed(8 * RAW_BYTES))
        line = Signal(8 * REQUANTIZER_LATENCY, reset_less=True)
        m.d.comb += extended.eq(operand)
        m.d.sync += line.eq(Cat(extended.word_select((byte - 1)[:3], 8), line))
        return Mux(byte == 0, code, line[-8:].as_signed())

    def _parameters(self, m: Module, requantizer: Requantizer) -> None:
        """The parameter memories, the registers with the entry in use, and the multiplier and shift of the operand."""
        bits, entries = self.config.arithmetic.multiplier_bits, []
        stored = [*range(FIRST_BYTE, FIRST_BYTE + -(-bits // 8)), SHIFT_BYTE]
        own = len(stored)
        if self._chains:
            stored += [*range(BIAS_BYTES), *([WEIGHT_ZERO_POINT_ROW] if self.config.weight_zero_points else [])]
        for column, (control, given) in enumerate(zip(self._control, self.parameter_write, strict=True)):
            memory = block_ram(8 * len(stored), PARAMETER_ENTRIES, always=True)
            m.submodules[f"parameters_{column}"] = memory
            write, read = memory.write_port(granularity=8), memory.read_port()
            entry = Signal(bits + 6, name=f"entry_{column}", reset_less=True)
            loaded = Signal(name=f"loaded_{column}")
            m.d.comb += [
                write.en.eq(Cat(given.bytes[byte] for byte in stored)),
                write.addr.eq(given.entry),
                write.data.eq(given.data.replicate(len(stored))),
                read.addr.eq(control.entry),
                read.en.eq(control.load),
            ]
            m.d.sync += loaded.eq(control.load)
            with m.If(loaded):
                m.d.sync += entry.eq(Cat(read.data[:bits], read.data[8 * own - 8 :][:6]))
            entries.append(entry)
            if self._chains:
                self._chain_parameters(m, column, loaded, read.data[8 * own :])
        # One more register, which lies where the entry is used, not at the memory; the first operand comes later.
        chosen = Signal(bits + 6, name="parameters", reset_less=True)
        turns = entries if self.columns == 1 else [self._in_turn(m, "entry_in_turn", OPERAND_DELAY - 2, entries)]
        m.d.sync += chosen.eq(turns[0])
        m.d.comb += [requantizer.multiplier.eq(chosen[:bits]), requantizer.shift.eq(chosen[bits:])]

    def _chain_parameters(self, m: Module, column: int, loaded: Value, entry: Value) -> None:
        """The bias and the weights' zero point in use."""
        chain = self._chains[column]
        bias = Signal.like(chain.bias, name=f"bias_{column}", reset_less=True)
        zero_point = Signal.like(chain.zero_point, name=f"zero_point_{column}", reset_less=True)
        m.d.comb += [chain.bias.eq(bias), chain.zero_point.eq(zero_point)]
        with m.If(loaded):
            m.d.sync += bias.eq(entry[: self.config.arithmetic.bias_bits].as_signed())
            if self.config.weight_zero_points:
                m.d.sync += zero_point.eq(entry[8 * BIAS_BYTES :])

    def _counters(self, m: Module, clipped: Value, add_clipped: Value) -> Value:
        """Count in the columns that are counted; returns the byte that the control asks for, a cycle later."""
        current = []
        for column, (control, counted) in enumerate(zip(self._control, self._counted, strict=True)):
            m.submodules[f"counters_{column}"] = counters = LaneCounters()
            overflowed = self.overflowed[column]
            if self._chains:
                overflowed = Mux(self.settings_out.depthwise, self._chains[column].overflowed, overflowed)
            events = Cat(
                control.overflowed & overflowed,
                control.clipped & clipped,
                control.add_clipped & add_clipped,
            )
            m.d.sync += counters.events.eq(Mux(counted, events, 0))
            m.d.comb += [getattr(counters, name).eq(control[name]) for name in ("place", "lowest", "clear")]
            m.d.sync += [self.counts[column].place.eq(control.place), self.counts[column].byte.eq(counters.current)]
            current.append(counters.current)
        age = code_delay(self.config.arithmetic) - 1
        return self._in_turn(m, "counter_byte", age, current, ~self.settings_out.counters)

    def _tables(self, m: Module, code: Value) -> Value:
        """What the tables have for a code, two cycles later; 0 where the settings ask for none."""
        bits, values = self.config.arithmetic.activation_bits, []
        for column, given in enumerate(self.table_write):
            m.submodules[f"table_{column}"] = table = block_ram(8, 1 << bits)
            write, read = table.write_port(), table.read_port()
            m.d.comb += [
                write.en.eq(given.write),
                write.addr.eq(given.address),
                write.data.eq(given.data),
                read.addr.eq(Cat(code[: bits - 1], ~code[bits - 1])),
                read.en.eq(1),
            ]
            values.append(read.data)  # they come late in their cycle
        return self._in_turn(m, "looked_up", code_delay(self.config.arithmetic), values, ~self.settings_out.table)


def _either(values: list[Value]) -> Value:
    """The one of the values that is not 0."""
    return reduce(or_, values)
