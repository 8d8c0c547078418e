"""PostProcessUnit: executes REQUANTIZE, REDUCE, DEPTHWISE, ADDER and COUNTERS by steering memories and column lanes."""

from amaranth import *
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from emulator.config import AcceleratorConfig
from emulator.instructions import ADDRESS_BITS, COUNTER_ROWS, INSTRUCTION_BITS, Error, Mode, Opcode, used_bits
from emulator.timing import (
    OPERAND_DELAY,
    REQUANTIZER_LATENCY,
    SUM_DELAY,
    WINDOW_SETUP_CYCLES,
    code_delay,
    output_delay,
)

from ..fields import fields_layout
from ..unit import INDEX_BITS, UnitPort
from .depthwise_chain import streams
from .depthwise_issue import DepthwiseIssue
from .lane_counters import NO_PLACE
from .post_process_lane import lane_control, lane_settings
from .reduce_walk import ReduceWalk

OPCODES = (Opcode.REQUANTIZE, Opcode.REDUCE, Opcode.ADDER, Opcode.COUNTERS, Opcode.DEPTHWISE)


class PostProcessState(enum.Enum, shape=3):
    """What the unit does: nothing; set the settings; multiply the strides; go to the first position; look at it;
    issue a position and look at the next one; wait for the last result's row."""

    IDLE = 0
    DECODE = 1
    PREPARE = 2
    START = 3
    FILL = 4
    RUN = 5
    DRAIN = 6


class PostProcessUnit(wiring.Component):
    """One position per cycle: an accumulator row, a row of codes under a window, or a row of counters. Where columns
    share lanes, a row of results comes only once in as many cycles.

    A position goes through three stages: the walk's registers; the candidate, whose rows have been compared with the
    memories' depths; the issue, which reads the memories one cycle later. The row of its result is written
    `output_delay` cycles after its issue. One instruction is under way at a time.

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
        port, state = self.port, Signal(PostProcessState)
        taps = self.config.depthwise_taps
        opcodes = OPCODES if taps else OPCODES[:-1]
        instruction, index = Signal(max(map(used_bits, opcodes))), Signal(INDEX_BITS)
        padded = Cat(instruction, C(0, INSTRUCTION_BITS - len(instruction)))
        self._fields = {opcode: data.View(fields_layout(opcode), padded) for opcode in opcodes}
        is_opcode = {opcode: instruction[:8] == opcode for opcode in opcodes}
        window = is_opcode[Opcode.REDUCE] | is_opcode[Opcode.DEPTHWISE] if taps else is_opcode[Opcode.REDUCE]
        m.submodules.walk = walk = ReduceWalk(shared=taps > 0)
        m.d.comb += [
            Value.cast(walk.fields).eq(padded),
            walk.prepare.eq((state == PostProcessState.DECODE) & window),
            walk.start.eq(state == PostProcessState.START),
        ]
        running = state == PostProcessState.RUN
        halt = Signal()  # a register of its own, near what it stops
        self._depthwise = self._depthwise_issue(m, walk, padded) if taps else None
        go, illegal, issued, last = self._candidate(m, walk, running & ~halt)
        m.d.comb += walk.next.eq(go | (state == PostProcessState.FILL))
        drained = self._flight(m, issued, walk.start)

        # The clamp takes the larger limit last: a smaller limit above it never wins. Compared a cycle after it is set.
        self._y_min, self._adder_y_min = (Signal(signed(8), name=name) for name in ("y_min", "adder_y_min"))
        settings = self.settings
        for limits, y_min in ((settings, self._y_min), (settings.adder, self._adder_y_min)):
            m.d.sync += limits.y_min.eq(Mux(y_min > limits.y_max, limits.y_max, y_min))

        aborted, busy = Signal(), Signal()
        prepare = Signal(range(WINDOW_SETUP_CYCLES + 1))  # cycles until the strides are there
        m.d.comb += [
            port.issued.ready.eq(state == PostProcessState.IDLE),
            port.busy.eq(busy),
            port.signals.eq(self._fields[Opcode.REQUANTIZE].signal),
            port.finished_index.eq(index),
            port.fault_index.eq(index),
            port.fault_code.eq(Error.ADDRESS),
            port.work.eq(go),
        ]
        m.d.sync += [port.finished.eq(0), port.fault.eq(0), self.control.load.eq(walk.start)]
        m.d.sync += halt.eq(port.halt)
        self._places(m, state != PostProcessState.IDLE)
        with m.If(walk.prepare):
            m.d.sync += prepare.eq(WINDOW_SETUP_CYCLES)
        with m.Elif(prepare != 0):
            m.d.sync += prepare.eq(prepare - 1)
        with m.Switch(state):
            with m.Case(PostProcessState.IDLE):
                m.d.sync += [aborted.eq(0), busy.eq(0)]
                with m.If(port.issued.valid):
                    m.d.sync += [
                        instruction.eq(port.issued.payload.instruction),
                        index.eq(port.issued.payload.index),
                        busy.eq(1),
                        state.eq(PostProcessState.DECODE),
                    ]
            with m.Case(PostProcessState.DECODE):
                self._decode(m, is_opcode, window)
                with m.If(is_opcode[Opcode.ADDER]):
                    m.d.sync += state.eq(PostProcessState.DRAIN)
                with m.Elif(window):
                    m.d.sync += state.eq(PostProcessState.PREPARE)
                with m.Else():
                    m.d.sync += state.eq(PostProcessState.START)
            with m.Case(PostProcessState.PREPARE):
                with m.If(prepare == 1):
                    m.d.sync += state.eq(PostProcessState.START)
            with m.Case(PostProcessState.START):
                m.d.sync += state.eq(PostProcessState.FILL)
            with m.Case(PostProcessState.FILL):
                m.d.sync += state.eq(PostProcessState.RUN)
            with m.Case(PostProcessState.RUN):
                with m.If(illegal):
                    m.d.sync += [port.fault.eq(~halt), aborted.eq(1), state.eq(PostProcessState.DRAIN)]
                with m.Elif(go & last):
                    m.d.sync += state.eq(PostProcessState.DRAIN)
            with m.Case(PostProcessState.DRAIN):
                with m.If(drained & (prepare == 0)):
                    m.d.sync += [port.finished.eq(~aborted), busy.eq(~aborted), state.eq(PostProcessState.IDLE)]
        with m.If(halt & (state != PostProcessState.IDLE) & (state != PostProcessState.DRAIN)):
            m.d.sync += [aborted.eq(1), state.eq(PostProcessState.DRAIN)]
        with m.If(port.clear):
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

    def _decode(self, m: Module, is_opcode: dict[Opcode, Value], window: Value) -> None:
        """Set the registers that are constant while an instruction executes, of values that one step can tell.

        window : it is a REDUCE, or a DEPTHWISE, which has what is read here at the same places
        """
        settings, entry = self.settings, self.control.entry
        requantize, reduce, adder = (self._fields[opcode] for opcode in OPCODES[:3])
        ignores, raw = reduce.mode == Mode.MAXIMUM, self.config.raw_outputs

        def either(name):
            return Mux(window, reduce[name], requantize[name])

        if self._depthwise:
            ignores &= ~is_opcode[Opcode.DEPTHWISE]
            with m.If(~is_opcode[Opcode.ADDER]):
                m.d.sync += settings.depthwise.eq(is_opcode[Opcode.DEPTHWISE])

        with m.If(is_opcode[Opcode.ADDER]):
            m.d.sync += [
                settings.adder[name].eq(adder[name]) for name in settings.adder.shape().members if name != "y_min"
            ]
            m.d.sync += self._adder_y_min.eq(adder.y_min)
        with m.Else():
            code = is_opcode[Opcode.REQUANTIZE] | window
            m.d.sync += [
                settings.requantize.eq(is_opcode[Opcode.REQUANTIZE]),
                settings.counters.eq(is_opcode[Opcode.COUNTERS]),
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
                settings.add.eq(code & either("add")),
                settings.table.eq(code & either("table")),
                settings.lanes.eq(either("lanes")),
                entry.eq(either("parameters")),
                self._window.eq(window),
                self._adds.eq(is_opcode[Opcode.REQUANTIZE] & requantize.add),
                self._stride.eq(Mux(is_opcode[Opcode.COUNTERS], 1, either("output_stride"))),
                self._count.eq(Mux(is_opcode[Opcode.COUNTERS], COUNTER_ROWS, requantize.count)),
                *([settings.byte.eq(Mux(is_opcode[Opcode.REQUANTIZE], requantize.byte, 0))] if raw else []),
                self._output_row.eq(
                    Mux(
                        is_opcode[Opcode.COUNTERS],
                        self._fields[Opcode.COUNTERS].output_row,
                        either("output_row"),
                    )
                ),
            ]

    def _candidate(self, m: Module, walk: ReduceWalk, enable: Value) -> tuple[Value, Value, Value, Value]:
        """The position that is next, and its issue; returns (issued, illegal, a result is issued, it is the last)."""
        config, settings, depthwise = self.config, self.settings, self._depthwise
        self._window, self._adds, self._stride, self._count = Signal(), Signal(), Signal(12), Signal(16)
        self._output_row = Signal(16)
        fields, reduce = self._fields[Opcode.REQUANTIZE], self._fields[Opcode.REDUCE]
        m.d.comb += [
            walk.single.eq(~self._window),
            walk.count.eq(self._count),
            walk.row.eq(fields.operand_row),
            walk.stride.eq(fields.operand_stride),
        ]
        accumulator, output = Signal(ADDRESS_BITS), Signal(ADDRESS_BITS)
        has_result, output_legal = walk.result, output < config.output_depth
        if depthwise:
            has_result = Mux(settings.depthwise, depthwise.result, walk.result)
            output_legal |= settings.depthwise & ~depthwise.result
        with m.If(walk.start):
            m.d.sync += [accumulator.eq(fields.accumulator_row), output.eq(self._output_row)]
        with m.Elif(walk.next & has_result):
            m.d.sync += [accumulator.eq(accumulator + 1), output.eq(output + self._stride)]

        # Each position's registers hold as much of the decision as they can: all else waits for it.
        first, result, last, used, unreadable, misplaced = (
            Signal(name=name) for name in ("first", "result", "last", "used", "unreadable", "misplaced")
        )
        inside = (walk.y < reduce.input_height) & (walk.x < reduce.input_width)
        uses, rows_legal = Mux(self._window, inside, self._adds), accumulator < config.accumulator_depth
        operand = Signal.like(self.operand_address, name="operand")
        sums = Signal.like(self.accumulator_address, name="sums")
        with m.If(walk.next):
            m.d.sync += [
                first.eq(walk.first),
                result.eq(walk.result),
                last.eq(walk.last),
                used.eq(uses),
                operand.eq(walk.address),
                unreadable.eq(uses & (walk.address >= config.operand_depth)),
                sums.eq(accumulator),
                misplaced.eq(~(rows_legal | ~settings.requantize) | ~output_legal),
            ]

        illegal, conflict, go = (Signal(name=name) for name in ("illegal", "conflict", "go"))
        # Sums stay in their registers until others are read: while columns that share a lane have turns to come, the
        # next row's are, as soon as their bank is free.
        fetched, fetches = Signal(), Signal()
        issued = go & result
        if depthwise:
            unreadable = Mux(settings.depthwise, depthwise.illegal, unreadable)
            issued = Mux(settings.depthwise, depthwise.issued, issued)
        m.d.comb += [
            illegal.eq(unreadable | misplaced),
            conflict.eq(settings.requantize & self.bank_reads.bit_select(sums[0], 1) & ~fetched),
            fetches.eq(enable & ~illegal & ~conflict & ~fetched & settings.requantize),
            go.eq(enable & ~illegal & ~conflict & ~(result & self._occupied(m, go & result))),
        ]
        reads, row = used, operand
        if depthwise:
            m.d.comb += depthwise.go.eq(go & settings.depthwise)
            reads, row = Mux(settings.depthwise, depthwise.reads, used), Mux(settings.depthwise, depthwise.row, operand)
            last = Mux(settings.depthwise, depthwise.last, last)
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

    def _flight(self, m: Module, issued: Value, start: Value) -> Value:
        """Results on their way: what is counted and written when; returns whether the last row is being written."""
        settings, control = self.settings, self.control
        # Bit i: a result was issued i + 1 cycles ago.
        flight = Signal(output_delay(self.config))
        at_table = code_delay(self.config.arithmetic) - 1
        output, self._counter_row, self._shows = Signal(ADDRESS_BITS), Signal.like(control.place), flight[at_table - 1]
        clips = ~settings.counters & flight[OPERAND_DELAY + REQUANTIZER_LATENCY - 1]
        if self.config.raw_outputs:
            clips &= settings.byte == 0
        sums, under_way = settings.requantize, flight[:-1].any()
        if self._depthwise:
            sums, under_way = sums | settings.depthwise, under_way | self._depthwise.busy
        m.d.sync += flight.eq(Cat(issued, flight))
        m.d.comb += [
            control.overflowed.eq(sums & flight[SUM_DELAY - 1]),
            control.clipped.eq(clips),
            control.add_clipped.eq(settings.add & flight[at_table]),
            self.output_write.eq(flight[-1]),
            self.output_address.eq(output),
        ]
        with m.If(start):
            m.d.sync += [output.eq(self._output_row), self._counter_row.eq(0)]
        with m.Else():
            m.d.sync += [
                output.eq(output + Mux(flight[-1], self._stride, 0)),
                self._counter_row.eq(self._counter_row + self._shows),
            ]
        return ~under_way

    def _occupied(self, m: Module, takes: Value) -> Value:
        """Whether columns that share a lane still have their turns of the last result."""
        turns = self.config.lane_columns - 1
        if turns == 0:
            return C(0)
        following = Signal(turns, name="turns")  # one bit for each turn that is to come
        m.d.sync += following.eq(Mux(takes, (1 << turns) - 1, following >> 1))
        return following.any()

    def _places(self, m: Module, busy: Value) -> None:
        """Visit the counters' bytes, one after the other; during COUNTERS that of the row that goes by.

        Lanes get what is decided in a cycle in the next one.
        """
        control, place, clear = self.control, Signal.like(self.control.place), Signal()
        shown = self.settings.counters & busy
        m.d.sync += [
            control.place.eq(Mux(place != NO_PLACE, place, Mux(shown & self._shows, self._counter_row, NO_PLACE))),
            control.clear.eq(clear),
        ]
        ends = (place == COUNTER_ROWS - 1) | (place == NO_PLACE)
        m.d.sync += place.eq(Mux(ends, Mux(shown, NO_PLACE, 0), place + 1))
        # A run starts with zeros: events come only after a whole round.
        with m.If(self.port.clear):
            m.d.sync += [place.eq(0), clear.eq(1)]
        with m.Elif(place == COUNTER_ROWS - 1):
            m.d.sync += clear.eq(0)
