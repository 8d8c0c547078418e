"""ReduceWalk: the rows of codes that post-processing reads, one after the other, kernel positions innermost."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from emulator.instructions import ADDRESS_BITS, Opcode

from ..fields import fields_layout
from ..window_setup import WINDOW_FIELDS, WINDOW_STEPS, WindowSetup

COORDINATE = 15
"""Bits of an input coordinate, signed. No input has more than 2^12 lines or pixels."""


def held(coordinate: Value) -> Value:
    """A coordinate to which a step of 8 bits is added next: from 2^12 on, where no input is, it is below 2^13, so that
    it stays beyond."""
    sign = coordinate[-1]
    return Cat(coordinate[:-3], coordinate[-3] | coordinate[-2], coordinate[-2] & sign, sign)


class ReduceWalk(wiring.Component):
    """Nested counters over output lines, output pixels, window lines, window pixels, with coordinates and addresses.

    Other instructions walk as well: along one line of output pixels under windows of one pixel.

    Members
    -------
    fields : of a REDUCE, constant from `prepare` on
    single, count, row, stride : whether to walk along one line instead; its pixels, first row, rows from pixel to pixel
    prepare : multiply the strides, which takes `WINDOW_SETUP_CYCLES`
    start : go to the first step
    next : go to the next step
    y, x : input coordinates, the bits of a signed `COORDINATE`: as unsigned ones, those outside the input are too large
    address : row of the operand scratchpad, modulo 2^ADDRESS_BITS
    first, result, last : the window's first step, the window's last step, the last step of all
    steps : the products, where another walk of the same fields needs them (`shared`)
    """

    def __init__(self, shared: bool = False):
        self.shared = shared
        super().__init__(
            {
                "fields": In(fields_layout(Opcode.REDUCE)),
                "single": In(1),
                "count": In(16),
                "row": In(17),
                "stride": In(12),
                "prepare": In(1),
                "start": In(1),
                "next": In(1),
                "y": Out(COORDINATE),
                "x": Out(COORDINATE),
                "address": Out(ADDRESS_BITS),
                "first": Out(1),
                "result": Out(1),
                "last": Out(1),
                **({"steps": Out(WINDOW_STEPS)} if shared else {}),
            }
        )

    def elaborate(self, platform):
        m = Module()
        fields, single = self.fields, self.single
        m.submodules.setup = setup = WindowSetup()
        m.d.comb += [getattr(setup, name).eq(fields[name]) for name in (*WINDOW_FIELDS, "pixel_rows")]
        m.d.comb += [setup.base.eq(fields.input_row), setup.start.eq(self.prepare)]
        steps = setup.steps
        if self.shared:
            m.d.comb += self.steps.eq(steps)
        pixel = Signal(ADDRESS_BITS, reset_less=True)  # constant from the first step on
        m.d.sync += pixel.eq(Mux(single, self.stride, steps.position_column))

        counts = {
            "window_pixels": Mux(single, 1, fields.kernel_width),
            "window_lines": Mux(single, 1, fields.kernel_height),
            "pixels": Mux(single, self.count, fields.output_width),
            "lines": Mux(single, 1, fields.output_height),
        }
        # Counted down from count − 2 to −1: the sign says that the end is reached.
        left = {
            name: Signal(signed(len(count) + 1), name=f"{name}_left", reset_less=True) for name, count in counts.items()
        }
        ends = {name: count[-1] for name, count in left.items()}
        # Where the window line, the window and the output line under way begin.
        window_line_address, window_address, line_address = (
            Signal(ADDRESS_BITS, name=name, reset_less=True)
            for name in ("window_line_address", "window_address", "line_address")
        )
        window_y, window_x = (Signal(COORDINATE, name=name, reset_less=True) for name in ("window_y", "window_x"))

        # Each of the three that move has one sum: from where, and how far. Who moves is decided side by side.
        inside, same_window, same_line = ~ends["window_pixels"], ~ends["window_lines"], ~ends["pixels"]
        pad_top, pad_left = (Signal(COORDINATE, name=f"minus_{name}", reset_less=True) for name in ("top", "left"))
        m.d.sync += [pad_top.eq(-fields.pad_top), pad_left.eq(-fields.pad_left)]  # a cycle before the first step
        at_left = self.start | ~(inside | same_window | same_line)
        x = Mux(at_left, pad_left, Mux(inside, held(self.x), held(window_x)))
        x += Mux(at_left, 0, Mux(inside, fields.dilation_width, Mux(same_window, 0, fields.stride_width)))
        y = Mux(self.start, pad_top, Mux(same_window, held(self.y), held(window_y)))
        y += Mux(self.start, 0, Mux(same_window, fields.dilation_height, Mux(same_line, 0, fields.stride_height)))
        where = Mux(same_window, window_line_address, Mux(same_line, window_address, line_address))
        far = Mux(same_window, steps.kernel_row, Mux(same_line, pixel, steps.position_row))
        moved = Mux(inside, self.address, where) + Mux(inside, steps.kernel_column, far)
        address = Mux(self.start, Mux(single, self.row, steps.origin), moved)

        m.d.comb += [
            self.result.eq(ends["window_pixels"] & ends["window_lines"]),
            self.last.eq(self.result & ends["pixels"] & ends["lines"]),
        ]

        def count(name, goes_on):
            return left[name].eq(Mux(~self.start & goes_on, left[name] - 1, counts[name] - 2))

        with m.If(self.start | self.next):
            m.d.sync += [self.first.eq(self.start | self.result), self.address.eq(address), self.x.eq(x)]
            m.d.sync += count("window_pixels", inside)
        with m.If(self.start | (self.next & ~inside)):
            m.d.sync += [window_line_address.eq(address), self.y.eq(y), count("window_lines", same_window)]
        with m.If(self.start | (self.next & self.result)):
            m.d.sync += [window_address.eq(address), window_x.eq(x), count("pixels", same_line)]
        with m.If(self.start | (self.next & self.result & ~same_line)):
            m.d.sync += [line_address.eq(address), window_y.eq(y), count("lines", C(1))]
        return m
