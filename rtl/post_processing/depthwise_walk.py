"""DepthwiseWalk: the rows of codes that a DEPTHWISE reads: output line, strip, segment of the kernel, output, pixel."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from emulator.depthwise_segments import STREAM_TAPS
from emulator.instructions import ADDRESS_BITS, DEPTHWISE_SUMS, DEPTHWISE_WORDS, Opcode
from emulator.timing import depthwise_round_trip

from ..fields import fields_layout
from ..window_setup import WINDOW_STEPS
from .depthwise_segments import DepthwiseSegments

COORDINATE = 22
"""Bits of an input coordinate, signed; read as unsigned, one outside the input is at least as large as its size."""


class DepthwiseWalk(wiring.Component):
    """Nested counters over output lines, strips, kernel lines, kernel pixels, outputs, pixels of an output.

    Members
    -------
    fields : of a DEPTHWISE, constant from `prepare` on
    steps : products of its geometry, there at `start`
    prepare : a new instruction; start : go to the first position; next : go to the next one
    y, x, address : input coordinates and operand scratchpad row of the first kernel line's pixel
    there : of each stream of codes: the segment has that kernel line, and the position is no wait behind the segment
    wide : all of the lanes' steps take the first stream's codes
    begin, swap : an output's first code; the segment's, whose weights are in `word`
    carry, result, sum_row : of an output: it begins at waiting sum `sum_row`; it is requantized, or else waits there
    last : the last position of all
    """

    def __init__(self, taps: int):
        self.taps = taps
        super().__init__(
            {
                "fields": In(fields_layout(Opcode.DEPTHWISE)),
                "steps": In(WINDOW_STEPS),
                "prepare": In(1),
                "start": In(1),
                "next": In(1),
                "y": Out(COORDINATE),
                "x": Out(COORDINATE),
                "address": Out(ADDRESS_BITS),
                "there": Out(max(taps // STREAM_TAPS, 1)),
                "wide": Out(1),
                "begin": Out(1),
                "swap": Out(1),
                "word": Out(range(DEPTHWISE_WORDS)),
                "carry": Out(1),
                "result": Out(1),
                "sum_row": Out(range(DEPTHWISE_SUMS)),
                "last": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        fields, least = self.fields, depthwise_round_trip(self.taps)
        m.submodules.segments = segments = DepthwiseSegments(self.taps)
        # Counted down from count − 2 to −1: the sign says that the end is reached.
        lines, outputs, reads = (Signal(signed(13), reset_less=True) for _ in range(3))
        waiting, hold, first_segment = Signal(), Signal(range(least), reset_less=True), Signal()
        at_end, ends, begins, strip_ends = Signal(), Signal(), Signal(), Signal()
        strip_sum_row, sum_row = Signal.like(self.sum_row), Signal.like(self.sum_row)
        m.d.comb += [
            at_end.eq(waiting | (reads[-1] & outputs[-1])),
            ends.eq(at_end & (hold == 0)),
            begins.eq(self.start | (self.next & ends)),
            strip_ends.eq(segments.last_column & segments.last_row),
            segments.fields.eq(fields),
            segments.prepare.eq(self.prepare),
            segments.next.eq(begins),
            self.wide.eq(segments.columns == self.taps),
            self.there.eq(Mux(waiting, 0, self._lines(segments))),
            self.carry.eq(fields.carry | ~first_segment),
            self.result.eq(self.begin & strip_ends & ~fields.keep),
            self.last.eq(ends & strip_ends & segments.last_strip & lines[-1]),
            sum_row.eq(self.sum_row + self.begin),
        ]
        with m.If(begins):
            m.d.sync += [
                outputs.eq(segments.outputs),
                reads.eq(segments.reads),
                hold.eq(Mux(segments.several, least - 1, 0)),
                waiting.eq(0),
                self.begin.eq(1),
                self.swap.eq(1),
                first_segment.eq(strip_ends),
                self.word.eq(Mux(strip_ends, fields.weight_word, self.word + 1)),
                self.sum_row.eq(Mux(self.start, 0, Mux(strip_ends, sum_row, strip_sum_row))),
            ]
            with m.If(strip_ends):
                m.d.sync += strip_sum_row.eq(Mux(self.start, 0, sum_row))
            with m.If(self.start):
                m.d.sync += lines.eq(fields.output_height - 2)
            with m.Elif(strip_ends & segments.last_strip):
                m.d.sync += lines.eq(lines - 1)
        with m.Elif(self.next):
            m.d.sync += [self.swap.eq(0), self.begin.eq(0), self.sum_row.eq(sum_row), waiting.eq(at_end)]
            with m.If(hold != 0):
                m.d.sync += hold.eq(hold - 1)
            with m.If(~at_end & ~reads[-1]):
                m.d.sync += reads.eq(reads - 1)
            with m.Elif(~at_end):
                m.d.sync += [
                    outputs.eq(outputs - 1),
                    reads.eq(Mux(outputs == 0, segments.columns_now, segments.period) - 2),
                    self.begin.eq(1),
                ]
        self._places(m, segments, begins, self.next & ~at_end & ~reads[-1], self.next & ~at_end & reads[-1])
        return m

    def _lines(self, segments: DepthwiseSegments) -> Value:
        """Which streams the segment has: its kernel lines, at most `rows` of those that are left."""
        if len(self.there) == 1:
            return C(1)
        return Cat(C(1), *((segments.rows > k) & (segments.rows_left > k) for k in range(1, len(self.there))))

    def _places(self, m: Module, segments: DepthwiseSegments, begins: Value, pixel: Value, output: Value) -> None:
        """Coordinates and addresses: of a segment that begins, the next pixel of an output, the next output."""
        fields, steps = self.fields, self.steps
        # Where the output, the segment, the segment's kernel lines, the strip and the output line under way begin.
        names = ("output", "segment", "group", "strip", "line")
        address = {name: Signal(ADDRESS_BITS, name=f"{name}_address", reset_less=True) for name in names}
        x = {name: Signal(COORDINATE, name=f"{name}_x", reset_less=True) for name in ("output", "segment", "strip")}
        line_y = Signal(COORDINATE, reset_less=True)

        def times(value, count):
            """value · count: 1, 3 or 9."""
            made = Mux(count == STREAM_TAPS, (value << 1) + value, value)
            return Mux(count == STREAM_TAPS**2, (value << 3) + value, made) if self.taps > STREAM_TAPS else made

        column_step, row_step = Signal(ADDRESS_BITS, reset_less=True), Signal(ADDRESS_BITS, reset_less=True)
        column_x, row_y = Signal(COORDINATE, reset_less=True), Signal(COORDINATE, reset_less=True)
        m.d.sync += [
            column_step.eq(times(steps.kernel_column, segments.columns)),
            column_x.eq(times(fields.dilation_width, segments.columns)),
            row_step.eq(times(steps.kernel_row, segments.rows)),
            row_y.eq(times(fields.dilation_height, segments.rows)),
        ]
        at, at_x, at_y = Signal(ADDRESS_BITS), Signal(COORDINATE), Signal(COORDINATE)
        below, beyond = begins & segments.last_column, begins & segments.last_column & segments.last_row
        strip_shift = exact_log2(DEPTHWISE_SUMS)
        with m.If(self.start):
            m.d.comb += [at.eq(steps.origin), at_x.eq(-fields.pad_left), at_y.eq(-fields.pad_top)]
        with m.Elif(~segments.last_column):
            m.d.comb += [at.eq(address["segment"] + column_step), at_x.eq(x["segment"] + column_x), at_y.eq(self.y)]
        with m.Elif(~segments.last_row):
            m.d.comb += [at.eq(address["group"] + row_step), at_x.eq(x["strip"]), at_y.eq(self.y + row_y)]
        with m.Elif(~segments.last_strip):
            m.d.comb += [
                at.eq(address["strip"] + (steps.position_column << strip_shift)),
                at_x.eq(x["strip"] + (fields.stride_width << strip_shift)),
                at_y.eq(line_y),
            ]
        with m.Else():
            m.d.comb += [
                at.eq(address["line"] + steps.position_row),
                at_x.eq(-fields.pad_left),
                at_y.eq(line_y + fields.stride_height),
            ]
        with m.If(begins):
            m.d.sync += [self.y.eq(at_y), x["segment"].eq(at_x), address["segment"].eq(at)]
        with m.If(below):
            m.d.sync += address["group"].eq(at)
        with m.If(beyond):
            m.d.sync += [address["strip"].eq(at), x["strip"].eq(at_x), line_y.eq(at_y)]
            with m.If(self.start | segments.last_strip):
                m.d.sync += address["line"].eq(at)

        with m.If(begins):
            m.d.sync += [place.eq(at) for place in (self.address, address["output"])]
            m.d.sync += [place.eq(at_x) for place in (self.x, x["output"])]
        with m.Elif(output):
            m.d.sync += [
                place.eq(address["output"] + steps.position_column) for place in (self.address, address["output"])
            ]
            m.d.sync += [place.eq(x["output"] + fields.stride_width) for place in (self.x, x["output"])]
        with m.Elif(pixel):
            m.d.sync += [self.address.eq(self.address + steps.kernel_column), self.x.eq(self.x + 1)]
