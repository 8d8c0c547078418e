"""DepthwiseIssue: from a DEPTHWISE's walk to the operand scratchpads' reads and the control of the lanes' chains."""

from itertools import pairwise

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from emulator.config import AcceleratorConfig
from emulator.instructions import ADDRESS_BITS, Opcode
from emulator.timing import DEPTHWISE_STREAM_DELAY, depthwise_delay

from ..fields import fields_layout
from ..window_setup import WINDOW_STEPS
from .depthwise_chain import READ_DELAY, WRITE_DELAY, chain_control, streams
from .depthwise_walk import DepthwiseWalk


class DepthwiseIssue(wiring.Component):
    """The candidate is the position after the walk's, compared with the memory's depth; its issue reads the first
    kernel line's code a cycle later, each other line's `DEPTHWISE_STREAM_DELAY` cycles after the one above it.

    Members
    -------
    fields, steps, prepare, start : as in `DepthwiseWalk`
    next, go : the walk's position becomes the candidate; the candidate is issued
    result : the walk's position begins an output that will be requantized
    illegal, last : of the candidate: it reads a row that is not there; it is the last one
    reads, row : of the candidate: its first stream's read, which the unit registers
    line_read, line_address : of the further streams' copies of the operand scratchpad
    control : `chain_control` of lane 0
    ends : the instruction ends with the candidate that is issued, or is broken off
    issued, ended : `depthwise_delay` cycles after the issue of an output that will be requantized, and after `ends`
    busy : an output had begun a cycle ago, or its instruction ended, and `issued` or `ended` was still to come
    """

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        row, count = bits_for(config.operand_depth - 1), streams(config)
        super().__init__(
            {
                "fields": In(fields_layout(Opcode.DEPTHWISE)),
                "steps": In(WINDOW_STEPS),
                "prepare": In(1),
                "start": In(1),
                "next": In(1),
                "go": In(1),
                "result": Out(1),
                "illegal": Out(1),
                "last": Out(1),
                "reads": Out(1),
                "row": Out(row),
                "line_read": Out(1).array(count - 1),
                "line_address": Out(row).array(count - 1),
                "control": Out(chain_control(config)),
                "ends": In(1),
                "issued": Out(1),
                "ended": Out(1),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, fields = self.config, self.fields
        m.submodules.walk = walk = DepthwiseWalk(config.depthwise_taps)
        m.d.comb += [getattr(walk, name).eq(getattr(self, name)) for name in ("fields", "steps", "prepare", "start")]
        m.d.comb += [walk.next.eq(self.next), self.result.eq(walk.result)]

        output = data.StructLayout({"begin": 1, "carry": 1, "result": 1, "sum_row": walk.sum_row.shape()})
        candidate = Signal(output, reset_less=True)
        swap, word, illegal, wide = Signal(), Signal.like(walk.word), Signal(streams(config)), Signal()
        inside = Signal(streams(config))
        rows = [Signal.like(self.row, name=f"row_{k}") for k in range(streams(config))]
        for k in range(streams(config)):
            y, row = Signal.like(walk.y, name=f"y_{k}"), Signal(ADDRESS_BITS, name=f"address_{k}")
            m.d.comb += [
                y.eq(walk.y + fields.dilation_height * k if k else walk.y),
                row.eq(walk.address + self.steps.kernel_row * k if k else walk.address),
            ]
            reads = walk.there[k] & (y < fields.input_height) & (walk.x < fields.input_width)
            with m.If(self.next):
                m.d.sync += [inside[k].eq(reads), rows[k].eq(row), illegal[k].eq(reads & (row >= config.operand_depth))]
        with m.If(self.next):
            m.d.sync += [
                swap.eq(walk.swap),
                word.eq(walk.word),
                self.last.eq(walk.last),
                wide.eq(walk.wide),
                *(candidate[name].eq(getattr(walk, name)) for name in output.members),
            ]
        m.d.comb += self.illegal.eq(illegal.any())

        # The outputs that were issued 1, 2, … cycles ago.
        end = depthwise_delay(config.depthwise_taps)
        line = [Signal(output, name=f"output_{i}") for i in range(config.depthwise_taps + WRITE_DELAY + 1)]
        m.d.sync += [line[0].eq(candidate), line[0].begin.eq(candidate.begin & self.go)]
        m.d.sync += [below.eq(above) for above, below in pairwise(line)]
        ends = Signal(end)
        m.d.sync += ends.eq(Cat(self.ends, ends))
        m.d.sync += self.busy.eq(ends.any() | Cat(one.begin for one in line[:end]).any())
        control, written = self.control, line[-1]
        m.d.comb += [
            self.issued.eq(line[end - 1].begin & line[end - 1].result),
            self.ended.eq(ends[-1]),
            control.carry.eq(line[READ_DELAY].carry),
            control.read_row.eq(line[READ_DELAY].sum_row),
            control.write.eq(written.begin & ~written.result),
            control.write_row.eq(written.sum_row),
        ]
        m.d.sync += [control.swap.eq(swap & self.go), control.word.eq(word)]
        self._reads(m, wide, inside, rows)
        return m

    def _reads(self, m: Module, wide: Value, inside: Value, rows: list[Value]) -> None:
        """Each stream's reads; where all steps take the first stream's codes, the same row of each copy."""
        first, first_row = Signal(), Signal.like(self.row)
        m.d.comb += [self.reads.eq(inside[0]), self.row.eq(rows[0])]
        m.d.sync += [first.eq(self.go & inside[0]), first_row.eq(rows[0])]
        for k in range(1, len(rows)):
            read, row = self.go & inside[k], rows[k]
            for stage in range(k * DEPTHWISE_STREAM_DELAY + 1):
                later_read = Signal(name=f"read_{k}_{stage}")
                later_row = Signal.like(row, name=f"row_{k}_{stage}", reset_less=True)
                m.d.sync += [later_read.eq(read), later_row.eq(row)]
                read, row = later_read, later_row
            m.d.comb += [
                self.line_read[k - 1].eq(Mux(wide, first, read)),
                self.line_address[k - 1].eq(Mux(wide, first_row, row)),
            ]
        m.d.comb += self.control.valid.eq(Cat(first, self.line_read))
