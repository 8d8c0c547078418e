"""ReduceWalk: the rows of codes that post-processing reads, one after the other, kernel positions innermost."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from emulator.instructions import ADDRESS_BITS, Opcode

from ..fields import fields_layout
from ..window_setup import COORDINATE, WINDOW_FIELDS, WINDOW_STEPS, WindowSetup, further


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

        def begin(*names):
            return [left[name].eq(counts[name] - 2) for name in names]

        def place(address, y, x):
            return [
                *(place.eq(address) for place in (self.address, window_line_address, window_address)),
                *(place.eq(y) for place in (self.y, window_y)),
                *(place.eq(x) for place in (self.x, window_x)),
            ]

        m.d.comb += [
            self.result.eq(ends["window_pixels"] & ends["window_lines"]),
            self.last.eq(self.result & ends["pixels"] & ends["lines"]),
        ]
        with m.If(self.start):
            first_address = Mux(single, self.row, steps.origin)
            m.d.sync += [
                *begin("window_pixels", "window_lines", "pixels", "lines"),
                *place(first_address, -fields.pad_top, -fields.pad_left),
                line_address.eq(first_address),
                self.first.eq(1),
            ]
        with m.Elif(self.next):
            m.d.sync += self.first.eq(self.result)
            with m.If(~ends["window_pixels"]):
                m.d.sync += [
                    self.address.eq(self.address + steps.kernel_column),
                    self.x.eq(further(self.x, fields.dilation_width)),
                    left["window_pixels"].eq(left["window_pixels"] - 1),
                ]
            with m.Elif(~ends["window_lines"]):
                m.d.sync += [
                    *(
                        place.eq(window_line_address + steps.kernel_row)
                        for place in (self.address, window_line_address)
                    ),
                    self.y.eq(further(self.y, fields.dilation_height)),
                    self.x.eq(window_x),
                    *begin("window_pixels"),
                    left["window_lines"].eq(left["window_lines"] - 1),
                ]
            with m.Elif(~ends["pixels"]):
                m.d.sync += [
                    *place(window_address + pixel, window_y, further(window_x, fields.stride_width)),
                    *begin("window_pixels", "window_lines"),
                    left["pixels"].eq(left["pixels"] - 1),
                ]
            with m.Else():
                m.d.sync += [
                    *place(
                        line_address + steps.position_row, further(window_y, fields.stride_height), -fields.pad_left
                    ),
                    line_address.eq(line_address + steps.position_row),
                    *begin("window_pixels", "window_lines", "pixels"),
                    left["lines"].eq(left["lines"] - 1),
                ]
        return m
