"""Window: walks the positions of a convolution or pooling window over a map in a scratchpad, one per cycle."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from emulator.instructions import ADDRESS_BITS

from ..window_setup import COORDINATE, WINDOW_FIELDS, WINDOW_STEPS, further

_OFFSET = 14
"""Bits of a kernel position's distance from the first one; from 2^13 on, none is inside, wherever its window begins."""


class Window(wiring.Component):
    """Row address of input pixel (o·stride + k·dilation − pad) for output position o and kernel position k.

    Two counters, one over output positions and one over kernel positions and, fastest, channel rows; either may be the
    inner one. Sums and comparisons follow in a pipeline of `WINDOW_LATENCY` stages, which nothing holds up.

    depth : rows of the scratchpad
    groups : whether the position counter can go back, `keep` and `again`

    Members
    -------
    geometry fields, channel_rows, steps : taken with `begin`; `steps` from a `WindowSetup`
    begin : the counters are at their first values in the next cycle; wins over the steps
    next_position, next_kernel : step a counter; after its last value it begins again
    moves : `begin` or `next_position`; the user may know of either before it knows which
    keep : with `next_position`: the position stepped to is the one that `again` goes back to; the first one at first
    again : with `next_position`: go back
    last_position, last_kernel : the counter is at its last value
    valid, outside, address : `WINDOW_LATENCY` cycles after the counters: the pixel lies inside the input; it does and
        its row lies outside the scratchpad; its row modulo 2^ADDRESS_BITS
    """

    geometry = tuple(WINDOW_FIELDS)

    def __init__(self, depth: int, groups: bool = False):
        self.depth, self.groups = depth, groups
        super().__init__(
            {
                **{name: In(shape) for name, shape in WINDOW_FIELDS.items()},
                "channel_rows": In(12),
                "steps": In(WINDOW_STEPS),
                "begin": In(1),
                "next_position": In(1),
                "moves": In(1),
                "next_kernel": In(1),
                **({"keep": In(1), "again": In(1)} if groups else {}),
                "last_position": Out(1),
                "last_kernel": Out(1),
                "valid": Out(1),
                "outside": Out(1),
                "address": Out(ADDRESS_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        steps = Signal(WINDOW_STEPS, reset_less=True)
        with m.If(self.begin):
            m.d.sync += steps.eq(self.steps)
        position = self._position(m, steps)
        kernel = self._kernel(m, steps)
        limit_y, limit_x = self._held(m, self.input_height), self._held(m, self.input_width)

        # Sums, with the limits that belong to them, since the counters may already be at the next instruction.
        y, x = (Signal(signed(_OFFSET + 2), name=name, reset_less=True) for name in ("y", "x"))
        height, width = Signal(12, reset_less=True), Signal(12, reset_less=True)
        address = Signal(ADDRESS_BITS, reset_less=True)
        m.d.sync += [
            y.eq(position[0] + kernel[0]),
            x.eq(position[1] + kernel[1]),
            address.eq(position[2] + kernel[2]),
            height.eq(limit_y),
            width.eq(limit_x),
        ]
        # Comparisons.
        inside_y, inside_x, beyond = Signal(), Signal(), Signal()
        checked = Signal(ADDRESS_BITS, reset_less=True)
        m.d.sync += [
            inside_y.eq((y >= 0) & (y < height)),
            inside_x.eq((x >= 0) & (x < width)),
            beyond.eq(address >= self.depth),
            checked.eq(address),
        ]
        m.d.sync += [
            self.valid.eq(inside_y & inside_x),
            self.outside.eq(inside_y & inside_x & beyond),
            self.address.eq(checked),
        ]
        return m

    def _held(self, m: Module, value: Value) -> Signal:
        """A register that takes the value with `begin`."""
        held = Signal(value.shape(), name=f"{value.name}_held", reset_less=True)
        with m.If(self.begin):
            m.d.sync += held.eq(value)
        return held

    def _position(self, m: Module, steps: Value) -> tuple[Value, Value, Value]:
        """The counter over output positions; returns its share of (y, x, address)."""
        rows, columns = self._held(m, self.output_height), self._held(m, self.output_width)
        stride_y, stride_x = self._held(m, self.stride_height), self._held(m, self.stride_width)
        first_y, first_x = Signal(signed(13), reset_less=True), Signal(signed(13), reset_less=True)
        with m.If(self.begin):
            m.d.sync += [first_y.eq(-self.pad_top), first_x.eq(-self.pad_left)]

        def state(name: str) -> tuple[Signal, ...]:
            widths = {"rows_left": 12, "columns_left": 12, "y": signed(COORDINATE), "x": signed(COORDINATE)}
            widths |= {"line": ADDRESS_BITS, "here": ADDRESS_BITS, "last_row": 1, "last_column": 1}
            return tuple(Signal(w, name=f"{name}_{part}", reset_less=True) for part, w in widths.items())

        place = rows_left, columns_left, y, x, line, here, last_row, last_column = state("position")
        # A counter's comparison with 0 is a register beside it: much depends on the end of a tile in the same cycle.
        origin, one_row, one_column = self.steps.origin, rows == 1, columns == 1
        begin = (self.output_height - 1, self.output_width - 1, -self.pad_top, -self.pad_left, origin, origin)
        begin += (self.output_height == 1, self.output_width == 1)
        first = (rows - 1, columns - 1, first_y, first_x, steps.origin, steps.origin, one_row, one_column)
        below = line + steps.position_row
        next_line = (
            rows_left - 1,
            columns - 1,
            further(y, stride_y),
            first_x,
            below,
            below,
            rows_left == 1,
            one_column,
        )
        beside = (rows_left, columns_left - 1, y, further(x, stride_x), line, here + steps.position_column)
        beside += (last_row, columns_left == 1)
        last = Signal()
        m.d.comb += [last.eq(last_column & last_row), self.last_position.eq(last)]
        following = [Mux(last, a, Mux(last_column, b, c)) for a, b, c in zip(first, next_line, beside, strict=True)]
        if self.groups:
            kept = state("kept")
            with m.If(self.begin):
                m.d.sync += [register.eq(value) for register, value in zip(kept, begin, strict=True)]
            with m.Elif(self.next_position & self.keep):
                m.d.sync += [register.eq(value) for register, value in zip(kept, following, strict=True)]
            following = [Mux(self.again, a, b) for a, b in zip(kept, following, strict=True)]
        with m.If(self.moves):
            m.d.sync += [
                register.eq(Mux(self.begin, a, b)) for register, a, b in zip(place, begin, following, strict=True)
            ]
        return y, x, here

    def _kernel(self, m: Module, steps: Value) -> tuple[Value, Value, Value]:
        """The counter over kernel positions and their channel rows; returns its share of (y, x, address)."""
        rows, columns = self._held(m, self.kernel_height), self._held(m, self.kernel_width)
        channels = self._held(m, self.channel_rows)
        stride_y, stride_x = self._held(m, self.dilation_height), self._held(m, self.dilation_width)
        rows_left, columns_left = Signal(8, reset_less=True), Signal(8, reset_less=True)
        channels_left = Signal(12, reset_less=True)
        y, x = Signal(_OFFSET, reset_less=True), Signal(_OFFSET, reset_less=True)

        def on(offset: Value, step: Value) -> Value:
            total = offset + step
            return Cat(total[: _OFFSET - 1], total[_OFFSET - 1] | offset[-1])

        names = ("kernel_line", "kernel_pixel", "kernel_here")
        line, pixel, here = (Signal(ADDRESS_BITS, name=name, reset_less=True) for name in names)
        last_row, last_column, pixel_end = Signal(), Signal(), Signal()  # a counter has come to 0
        line_end, last = Signal(), Signal()
        m.d.comb += [
            line_end.eq(pixel_end & last_column),
            last.eq(line_end & last_row),
            self.last_kernel.eq(last),
        ]
        with m.If(self.begin):
            m.d.sync += [
                Cat(y, x, line, pixel, here).eq(0),
                rows_left.eq(self.kernel_height - 1),
                columns_left.eq(self.kernel_width - 1),
                channels_left.eq(self.channel_rows - 1),
                last_row.eq(self.kernel_height == 1),
                last_column.eq(self.kernel_width == 1),
                pixel_end.eq(self.channel_rows == 1),
            ]
        with m.Elif(self.next_kernel):
            m.d.sync += [channels_left.eq(channels_left - 1), here.eq(here + 1), pixel_end.eq(channels_left == 1)]
            with m.If(pixel_end):
                m.d.sync += [
                    channels_left.eq(channels - 1),
                    pixel_end.eq(channels == 1),
                    columns_left.eq(columns_left - 1),
                    last_column.eq(columns_left == 1),
                    x.eq(on(x, stride_x)),
                    pixel.eq(pixel + steps.kernel_column),
                    here.eq(pixel + steps.kernel_column),
                ]
            with m.If(line_end):
                below = line + steps.kernel_row
                m.d.sync += [columns_left.eq(columns - 1), rows_left.eq(rows_left - 1), x.eq(0), y.eq(on(y, stride_y))]
                m.d.sync += [last_column.eq(columns == 1), last_row.eq(rows_left == 1)]
                m.d.sync += [line.eq(below), pixel.eq(below), here.eq(below)]
            with m.If(last):
                m.d.sync += [rows_left.eq(rows - 1), last_row.eq(rows == 1), Cat(y, x, line, pixel, here).eq(0)]
        return y, x, here
