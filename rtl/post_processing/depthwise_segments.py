"""DepthwiseSegments: the segments of a DEPTHWISE's kernel, and the strips of its output lines, one after the other."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from emulator.depthwise_segments import STREAM_TAPS
from emulator.instructions import DEPTHWISE_SUMS, Opcode

from ..fields import fields_layout


class DepthwiseSegments(wiring.Component):
    """What the next segment begins with is computed while this one is walked, in up to four cycles: where there are
    several, each takes `depthwise_round_trip` cycles at least, and where there is one, all begin alike.

    Members
    -------
    fields : of a DEPTHWISE, constant from `prepare` on
    prepare : a new instruction, at least ten cycles before the first `next`
    next : the next segment begins: of the kernel, of the next strip, of the next line
    rows, columns, several : kernel lines and pixels of a segment at most; whether there are several: constant
    rows_left : kernel lines from the segment's first one on
    last_column, last_row, last_strip : no segment lies to the right; none lies below; no strip follows in the line
    columns_now, period : pixels of this segment; reads from output to output
    outputs, reads : of the next segment, each less 2: outputs, reads of the first one
    """

    def __init__(self, taps: int):
        self.taps = taps
        columns = range(taps + 1)
        super().__init__(
            {
                "fields": In(fields_layout(Opcode.DEPTHWISE)),
                "prepare": In(1),
                "next": In(1),
                "rows": Out(2),
                "columns": Out(columns),
                "several": Out(1),
                "rows_left": Out(8),
                "last_column": Out(1),
                "last_row": Out(1),
                "last_strip": Out(1),
                "columns_now": Out(columns),
                "period": Out(columns),
                "outputs": Out(signed(13)),
                "reads": Out(signed(5)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        fields, taps = self.fields, self.taps
        together = (fields.dilation_width == 1) | (fields.kernel_width == 1)
        rows, columns = C(1, 2), Mux(together, taps, 1)
        if taps > STREAM_TAPS:
            square = together & (fields.kernel_width <= STREAM_TAPS)
            rows, columns = Mux(square, taps // STREAM_TAPS, 1), Mux(square, STREAM_TAPS, columns)
        m.d.sync += [
            self.rows.eq(rows),
            self.columns.eq(columns),
            self.several.eq((self.rows < fields.kernel_height) | (self.columns < fields.kernel_width)),
        ]

        columns_left, pixels_left, strip = Signal(8), Signal(12), Signal(12)
        last = self.last_column & self.last_row
        # Of the next segment: each register needs those above it.
        next_columns_left, next_rows_left = Signal(8), Signal(8)
        m.d.comb += [
            next_columns_left.eq(Mux(self.last_column, fields.kernel_width, columns_left - self.columns)),
            next_rows_left.eq(Mux(self.last_row, fields.kernel_height, self.rows_left - self.rows)),
        ]
        next_last_column, next_last_row, next_last_strip = Signal(), Signal(), Signal()
        next_columns, next_pixels_left = Signal.like(self.columns), Signal(12)
        next_period, next_strip, single = Signal.like(self.columns), Signal(12), Signal()
        cut = self.several & (next_pixels_left > DEPTHWISE_SUMS)
        following = Mux(last, next_strip, strip)
        m.d.sync += [
            next_last_column.eq(self.columns >= next_columns_left),
            next_last_row.eq(self.rows >= next_rows_left),
            next_columns.eq(Mux(next_columns_left < self.columns, next_columns_left, self.columns)),
            next_pixels_left.eq(Mux(self.last_strip, fields.output_width, pixels_left - DEPTHWISE_SUMS)),
            next_strip.eq(Mux(cut, DEPTHWISE_SUMS, next_pixels_left)),
            next_last_strip.eq(~cut),
            next_period.eq(Mux(fields.stride_width < next_columns, fields.stride_width, next_columns)),
            single.eq(following == 1),
            self.reads.eq(Mux(single, next_columns, next_period) - 2),
        ]
        m.d.comb += self.outputs.eq(following - 2)
        with m.If(self.prepare):  # all are at their ends: what is next is then the first
            m.d.sync += [self.last_column.eq(1), self.last_row.eq(1), self.last_strip.eq(1)]
        with m.Elif(self.next):
            m.d.sync += [
                columns_left.eq(next_columns_left),
                self.last_column.eq(next_last_column),
                self.columns_now.eq(next_columns),
                self.period.eq(next_period),
            ]
            with m.If(self.last_column):
                m.d.sync += [self.rows_left.eq(next_rows_left), self.last_row.eq(next_last_row)]
            with m.If(last):
                m.d.sync += [
                    pixels_left.eq(next_pixels_left),
                    strip.eq(next_strip),
                    self.last_strip.eq(next_last_strip),
                ]
        return m
