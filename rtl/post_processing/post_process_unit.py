"""PostProcessUnit: executes REQUANTIZE, REDUCE, DEPTHWISE, ADDER and COUNTERS by steering memories and column lanes."""

from amaranth import *
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from emulator.config import AcceleratorConfig
from emulator.instructions import (
    ADDRESS_BITS,
    COUNTER_ROWS,
    INSTRUCTION_BITS,
    Error,
    Mode,
    Opcode,
    field_offsets,
    used_bits,
)
from emulator.timing import WINDOW_SETUP_CYCLES

from ..fields import fields_layout
from ..unit import INDEX_BITS, UnitPort
from .depthwise_chain import streams
from .depthwise_issue import DepthwiseIssue
from .lane_layouts import lane_control, lane_settings
from .reduce_walk import ReduceWalk
from .results import Results

OPCODES = (Opcode.REQUANTIZE, Opcode.REDUCE, Opcode.ADDER, Opcode.COUNTERS, Opcode.DEPTHWISE)


class PostProcessState(enum.Enum, shape=8):
    """What the unit does, a bit for each: nothing; look at the instruction; wait for the strides and for those before
    it; go to the first position; look at it; issue a position and look at the next one; end an ADDER; go on with the
    next part of a REQUANTIZE, a block's counters or the next block."""

    IDLE = 1 << 0
    DECODE = 1 << 1
    PREPARE = 1 << 2
    START = 1 << 3
    FILL = 1 << 4
    RUN = 1 << 5
    ADD = 1 << 6
    AGAIN = 1 << 7


class PostProcessUnit(wiring.Component):
    """One position per cycle: an accumulator row, a row of codes under a window, or a row of counters. Where columns
    share lanes, a row of results comes only once in as many cycles.

    A position goes through three stages: the walk's registers; the candidate, whose rows have been compared with the
    memories' depths; the issue, which reads the memories one cycle later. The row of its result is written
    `output_delay` cycles after its issue. The next instruction is taken when the last position of the one before has
    been issued, and begins when all results have passed the lanes, a COUNTERS at once. A REQUANTIZE of several blocks
    is executed as one of each block and a COUNTERS between them.

    Members
    -------
    port : the sequencer's view
    bank_reads : accumulator banks that CONVOLVE reads in the next cycle: a position that needs one of them waits
    accumulator_read, accumulator_address : accumulator lane 0 reads a row
    operand_read, operand_address : read a row of the operand scratchpad
    line_read, line_address : of its copies, which the further streams of a DEPTHWISE read
    control, settings : of column 0, and of its lane
    output_write, output_address : write a row of the output scratchpad
    """

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        super().__init__(
            {
                "port": In(UnitPort()),
                "bank_reads": In(2),
                "accumulator_read": Out(1),
                "accumulator_address": Out(bits_for(config.accumulator_depth - 1)),
                "operand_read": Out(1),
                "operand_address": Out(bits_for(config.operand_depth - 1)),
                **(
                    {
                        "line_read": Out(1).array(streams(config) - 1),
                        "line_address": Out(bits_for(config.operand_depth - 1)).array(streams(config) - 1),
                    }
                    if config.depthwise_taps
                    else {}
                ),
                "control": Out(lane_control(config)),
                "settings": Out(lane_settings(config)),
                "output_write": Out(1),
                "output_address": Out(bits_for(config.output_depth - 1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        port, state = self.port, Signal(PostProcessState, init=PostProcessState.IDLE)
        # Each state's bit alone, since much depends on it.
        idle, decodes, waits, starts, fills, running, adds, restarts = Value.cast(state)
        taps = self.config.depthwise_taps
        opcodes = OPCODES if taps else OPCODES[:-1]
        instruction, index = (
            Signal(max(map(used_bits, opcodes)), reset_less=True),
            Signal(INDEX_BITS, reset_less=True),
        )
        padded = Cat(instruction, C(0, INSTRUCTION_BITS - len(instruction)))
        self._fields = {opcode: data.View(fields_layout(opcode), padded) for opcode in opcodes}
        opcode_bits = bits_for(max(opcodes))  # no others come here
        is_opcode = {opcode: Signal(name=f"is_{opcode.name.lower()}") for opcode in opcodes}
        window = is_opcode[Opcode.REDUCE] | is_opcode[Opcode.DEPTHWISE] if taps else is_opcode[Opcode.REDUCE]
        # Of a COUNTERS itself the field of the further blocks is 0.
        self._block, further = Signal(4), self._fields[Opcode.REQUANTIZE].further_blocks
        continues = (is_opcode[Opcode.REQUANTIZE] | is_opcode[Opcode.COUNTERS]) & (self._block != further)
        goes_on = Signal()  # constant while positions are issued
        m.d.sync += goes_on.eq(continues)
        m.submodules.walk = walk = ReduceWalk(shared=taps > 0)
        m.d.comb += [
            Value.cast(walk.fields).eq(padded),
            walk.prepare.eq(decodes & window),
            walk.start.eq(starts),
        ]
        # A register of this unit alone, near what it stops; where the unit is idle, nothing comes while halted.
        halt = Signal()
        m.d.sync += halt.eq(port.halt & ~idle)
        prepare, prepared = Signal(range(WINDOW_SETUP_CYCLES + 1)), Signal()  # cycles to the strides; one at most
        self._depthwise = self._depthwise_issue(m, walk, padded) if taps else None
        go, illegal, issued, last = self._candidate(m, walk, running & ~halt)
        m.d.comb += walk.next.eq(go | fills)
        aborts = running & (halt | illegal)
        ends = (go & last) | aborts
        results = self._results(m, state, issued, ends)

        # The clamp takes the larger limit last: a smaller limit above it never wins. Compared a cycle after it is set.
        self._y_min, self._adder_y_min = (Signal(signed(8), name=name) for name in ("y_min", "adder_y_min"))
        settings = self.settings
        for limits, y_min in ((settings, self._y_min), (settings.adder, self._adder_y_min)):
            m.d.sync += limits.y_min.eq(Mux(limits.y_max < y_min, limits.y_max, y_min))

        m.d.comb += [
            port.issued.ready.eq(idle),
            port.fault_index.eq(index),
            port.fault_code.eq(Error.ADDRESS),
            port.work.eq(go),
        ]
        takes = port.issued.valid & port.issued.ready
        # Who may follow is known a cycle ahead for each kind of instruction: much waits for it.
        follows = Mux(
            is_opcode[Opcode.COUNTERS],
            results.counts_follow,
            Mux(is_opcode[Opcode.ADDER], results.adder_follows, results.settings_follow),
        )
        follows &= ~results.aborted
        if taps:
            follows &= ~self._depthwise.busy
        remaining = Mux(walk.prepare, WINDOW_SETUP_CYCLES, Mux(prepare == 0, 0, prepare - 1))
        m.d.sync += [
            port.busy.eq(takes | ~idle | (results.under_way != 0)),
            port.fault.eq(illegal & running & ~halt),
            results.aborted.eq((results.aborted | aborts) & ~port.clear),
            self.control.load.eq(walk.start & ~self._counts),
            prepare.eq(remaining),
            prepared.eq(remaining <= 1),
        ]
        with m.If(takes):
            m.d.sync += [
                instruction.eq(port.issued.payload.instruction),
                index.eq(port.issued.payload.index),
                self._block.eq(0),
                *(
                    is_this.eq(port.issued.payload.instruction[:opcode_bits] == opcode)
                    for opcode, is_this in is_opcode.items()
                ),
            ]
        with m.If(restarts):
            self._go_on(m, instruction, is_opcode)
        prepares = decodes | waits
        begins = follows & Mux(decodes, ~window, prepared) & prepares
        again = goes_on & ~aborts
        following = {
            PostProcessState.IDLE: (idle & ~takes) | adds | (ends & ~again) | (prepares & halt),
            PostProcessState.DECODE: takes | restarts,
            PostProcessState.PREPARE: prepares & ~begins & ~halt,
            PostProcessState.START: begins & ~halt,
            PostProcessState.FILL: starts,
            PostProcessState.RUN: (fills & ~is_opcode[Opcode.ADDER]) | (running & ~ends),
            PostProcessState.ADD: fills & is_opcode[Opcode.ADDER],
            PostProcessState.AGAIN: ends & again,
        }
        m.d.sync += state.eq(Cat(following[which] for which in PostProcessState))
        with m.If(decodes):
            self._look(m, is_opcode, window)
        with m.If(starts):
            self._set(m, is_opcode, window, index, continues)
        clear = Signal()  # near what it clears, long before the first instruction
        m.d.sync += clear.eq(port.clear)
        with m.If(clear):
            m.d.sync += [self.settings.adder.eq(0), self._adder_y_min.eq(0)]
        return m

    def _depthwise_issue(self, m: Module, walk: ReduceWalk, instruction: Value) -> DepthwiseIssue:
        """What a DEPTHWISE reads; the fields that `walk` multiplies are at the same places as those of a REDUCE."""
        m.submodules.depthwise = depthwise = DepthwiseIssue(self.config)
        m.d.comb += [
            Value.cast(depthwise.fields).eq(instruction),
            *(getattr(depthwise, name).eq(getattr(walk, name)) for name in ("steps", "prepare", "start", "next")),
            self.control.chain.eq(depthwise.control),
        ]
        for k in range(len(self.line_read)):
            m.d.comb += [
                self.line_read[k].eq(depthwise.line_read[k]),
                self.line_address[k].eq(depthwise.line_address[k]),
            ]
        return depthwise

    def _go_on(self, m: Module, instruction: Signal, is_opcode: dict[Opcode, Signal]) -> None:
        """The next part of a REQUANTIZE: behind its block the block's counters, as a COUNTERS, and then the next block;
        the rows of the next counters follow where they have ended."""
        if not self.config.counters:
            m.d.sync += self._block.eq(self._block + 1)
            return
        row = field_offsets(Opcode.COUNTERS)["output_row"]
        m.d.sync += [is_opcode[Opcode.REQUANTIZE].eq(self._counts), is_opcode[Opcode.COUNTERS].eq(~self._counts)]
        with m.If(self._counts):
            m.d.sync += [self._block.eq(self._block + 1), instruction[row : row + 16].eq(self._output)]

    def _look(self, m: Module, is_opcode: dict[Opcode, Value], window: Value) -> None:
        """Set the registers that the positions need, once those of the instruction before have all been issued.

        window : it is a REDUCE, or a DEPTHWISE, which has what is read here at the same places
        """
        requantize, counts = self._fields[Opcode.REQUANTIZE], is_opcode[Opcode.COUNTERS]
        stride, output_row = self._either(window, "output_stride"), self._either(window, "output_row")
        m.d.sync += [
            self._counts.eq(counts),
            self._window.eq(window),
            self._sums.eq(is_opcode[Opcode.REQUANTIZE]),
            self._adds.eq(is_opcode[Opcode.REQUANTIZE] & requantize.add),
            self._stride.eq(Mux(counts, 1, stride)),
            self._count.eq(Mux(counts, COUNTER_ROWS, requantize.count)),
            self._operand_row.eq(requantize.operand_row + self._block),
            self._output_row.eq(Mux(counts, self._fields[Opcode.COUNTERS].output_row, output_row + self._block)),
        ]

    def _set(self, m: Module, is_opcode: dict[Opcode, Value], window: Value, index: Value, continues: Value) -> None:
        """Set the registers that the results need, once those of the instruction before have passed the lanes.

        COUNTERS leave to the lanes what the instruction before has set.

        continues : another part of a REQUANTIZE comes behind this one
        """
        settings, entry = self.settings, self.control.entry
        requantize, reduce, adder = (self._fields[opcode] for opcode in OPCODES[:3])
        ignores, raw = reduce.mode == Mode.MAXIMUM, self.config.raw_outputs

        def either(name):
            return self._either(window, name)

        m.d.sync += [
            self._index.eq(index),
            self._signal.eq(Mux(continues, 0, requantize.signal)),
            self._results_stride.eq(self._stride),
            self._results_row.eq(self._output_row),
        ]
        if self._depthwise:
            ignores &= ~is_opcode[Opcode.DEPTHWISE]
            m.d.sync += self._chains.eq(is_opcode[Opcode.DEPTHWISE])
        with m.If(is_opcode[Opcode.ADDER]):
            m.d.sync += [
                settings.adder[name].eq(adder[name]) for name in settings.adder.shape().members if name != "y_min"
            ]
            m.d.sync += self._adder_y_min.eq(adder.y_min)
        with m.Elif(~is_opcode[Opcode.COUNTERS]):
            m.d.sync += [
                settings.requantize.eq(is_opcode[Opcode.REQUANTIZE]),
                settings.mode.eq(reduce.mode),
                settings.first_zero_point.eq(Mux(ignores, 0, reduce.input_zero_point)),
                settings.other_zero_point.eq(
                    Mux(
                        reduce.mode == Mode.PRODUCT,
                        reduce.second_zero_point,
                        Mux(ignores, 0, reduce.input_zero_point),
                    )
                ),
                settings.zero_point.eq(either("zero_point")),
                self._y_min.eq(either("y_min")),
                settings.y_max.eq(either("y_max")),
                self._add.eq(either("add")),
                self._table.eq(either("table")),
                settings.lanes.eq(either("lanes")),
                entry.eq(either("parameters") + self._block),
                *([settings.byte.eq(Mux(is_opcode[Opcode.REQUANTIZE], requantize.byte, 0))] if raw else []),
                *([settings.depthwise.eq(is_opcode[Opcode.DEPTHWISE])] if self._depthwise else []),
            ]

    def _either(self, window: Value, name: str) -> Value:
        """A field that is elsewhere in a REQUANTIZE than in a REDUCE."""
        return Mux(window, self._fields[Opcode.REDUCE][name], self._fields[Opcode.REQUANTIZE][name])

    def _candidate(self, m: Module, walk: ReduceWalk, enable: Value) -> tuple[Value, Value, Value, Value]:
        """The position that is next, and its issue; returns (issued, illegal, a result is issued, it is the last)."""
        config, depthwise = self.config, self._depthwise
        self._counts, self._window, self._sums, self._adds = (
            Signal(name=name) for name in ("reads_counters", "is_window", "reads_sums", "adds")
        )
        self._stride, self._count, self._chains = Signal(12), Signal(16), Signal()
        self._operand_row, self._output_row = Signal(17), Signal(17)
        fields, reduce = self._fields[Opcode.REQUANTIZE], self._fields[Opcode.REDUCE]
        m.d.comb += [
            walk.single.eq(~self._window),
            walk.count.eq(self._count),
            walk.row.eq(self._operand_row),
            walk.stride.eq(fields.operand_stride),
        ]
        accumulator, output = Signal(ADDRESS_BITS), Signal(ADDRESS_BITS)
        self._output = output
        has_result, output_legal = walk.result, output < config.output_depth
        if depthwise:
            has_result = Mux(self._chains, depthwise.result, walk.result)
            output_legal |= self._chains & ~depthwise.result
        # Each position's registers hold as much of the decision as they can: all else waits for it.
        first, result, last, used, unreadable, misplaced = (
            Signal(name=name) for name in ("first", "result", "last", "used", "unreadable", "misplaced")
        )
        # The rows stay where a part of a REQUANTIZE ends: there the next block's sums begin, and the next counters.
        with m.If(walk.start):
            m.d.sync += [output.eq(self._output_row), last.eq(0)]
            with m.If((self._block == 0) & ~self._counts):
                m.d.sync += accumulator.eq(fields.accumulator_row)
        with m.Elif(walk.next & has_result & ~(last & ~self._window)):
            m.d.sync += output.eq(output + self._stride)
            with m.If(~self._counts):
                m.d.sync += accumulator.eq(accumulator + 1)
        inside = (walk.y < reduce.input_height) & (walk.x < reduce.input_width)
        uses, rows_legal = Mux(self._window, inside, self._adds), accumulator < config.accumulator_depth
        unread = uses & (walk.address >= config.operand_depth)
        operand = Signal.like(self.operand_address, name="operand")
        sums = Signal.like(self.accumulator_address, name="sums")
        banks = Signal(2, name="banks")  # which of them the position reads
        with m.If(walk.next):
            m.d.sync += [
                first.eq(walk.first),
                result.eq(walk.result),
                last.eq(walk.last),
                used.eq(uses),
                operand.eq(walk.address),
                unreadable.eq(unread if depthwise else 0),
                sums.eq(accumulator),
                banks.eq(Cat(self._sums & ~accumulator[0], self._sums & accumulator[0])),
                misplaced.eq(~(rows_legal | ~self._sums) | ~output_legal | (0 if depthwise else unread)),
            ]

        illegal, conflict, go = (Signal(name=name) for name in ("illegal", "conflict", "go"))
        # Sums stay in their registers until others are read: while columns that share a lane have turns to come, the
        # next row's are, as soon as their bank is free.
        fetched, fetches = Signal(), Signal()
        issued = go & result
        if depthwise:
            unreadable = Mux(self._chains, depthwise.illegal, unreadable)
            issued = depthwise.issued | (issued & ~self._chains)
        m.d.comb += [
            illegal.eq(unreadable | misplaced),
            conflict.eq((banks & self.bank_reads).any() & ~fetched),
            fetches.eq(enable & ~illegal & ~conflict & ~fetched & self._sums),
            go.eq(enable & ~illegal & ~conflict & ~(result & self._occupied(m, go & result))),
        ]
        reads, row = used, operand
        if depthwise:
            m.d.comb += depthwise.go.eq(go & self._chains)
            reads, row = Mux(self._chains, depthwise.reads, used), Mux(self._chains, depthwise.row, operand)
            last = Mux(self._chains, depthwise.last, last)
        if config.lane_columns > 1:
            m.d.sync += fetched.eq(enable & ~go & (fetched | fetches))
        m.d.sync += [
            self.accumulator_read.eq(fetches),
            self.accumulator_address.eq(sums),
            self.operand_read.eq(go & reads),
            self.operand_address.eq(row),
            self.control.first.eq(first),
            self.control.valid.eq(go & used),
            self.control.result.eq(issued),
        ]
        return go, illegal, issued, last

    def _results(self, m: Module, state: Value, issued: Value, ends: Value) -> Results:
        """Results on their way; `ends` : the instruction ends with what is issued, or is broken off."""
        settings, control, port = self.settings, self.control, self.port
        m.submodules.results = results = Results(self.config)
        self._add, self._table = Signal(name="add"), Signal(name="table")
        self._results_row = Signal.like(self._output_row, name="results_row")
        self._results_stride = Signal.like(self._stride, name="results_stride")
        self._index, self._signal = (
            Signal.like(port.finished_index, name="index"),
            Signal.like(port.signals, name="signal"),
        )
        _, _, _, starts, fills, running, adds, _ = Value.cast(state)
        issues = fills | running
        sums, clipped = settings.requantize, results.clipped
        if self._depthwise:
            sums |= settings.depthwise
            m.d.comb += self._depthwise.ends.eq(ends & self._chains)
            ends = self._depthwise.ended | (ends & ~self._chains)
        if self.config.raw_outputs:
            clipped &= settings.byte == 0
        m.d.comb += [
            results.issued.eq(issued),
            results.ends.eq(ends),
            results.counting.eq(issues & self._counts),
            results.sums.eq(sums),
            results.add.eq(self._add),
            results.table.eq(self._table),
            results.begins.eq(starts),
            results.row.eq(self._results_row),
            results.stride.eq(self._results_stride),
            results.index.eq(self._index),
            results.signal.eq(self._signal),
            results.adder_ends.eq(adds),
            results.clear.eq(port.clear),
            port.finished.eq(results.finished),
            port.finished_index.eq(results.finished_index),
            port.signals.eq(results.signals),
            self.output_write.eq(results.output_write),
            self.output_address.eq(results.output_address),
            control.overflowed.eq(results.overflowed),
            control.clipped.eq(clipped),
            control.add_clipped.eq(results.add_clipped),
            control.clear.eq(results.counter_clear),
            control.place.eq(results.place),
            control.lowest.eq(results.lowest),
            settings.counters.eq(results.show),
            settings.add.eq(results.added),
            settings.table.eq(results.looked_up),
        ]
        return results

    def _occupied(self, m: Module, takes: Value) -> Value:
        """Whether columns that share a lane still have their turns of the last result."""
        turns = self.config.lane_columns - 1
        if turns == 0:
            return C(0)
        following = Signal(turns, name="turns")  # one bit for each turn that is to come
        m.d.sync += following.eq(Mux(takes, (1 << turns) - 1, following >> 1))
        return following.any()
