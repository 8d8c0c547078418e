"""Window: walks the positions of a convolution or pooling window over a map in a scratchpad, one per cycle."""

from collections.abc import Sequence

from amaranth import *
from amaranth.hdl import ShapeLike
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from emulator.instructions import ADDRESS_BITS

from ..window_setup import WINDOW_FIELDS, WINDOW_STEPS

COORDINATE = 14
"""Bits of an input coordinate, signed. No input has more than 2^12 lines or pixels."""
_OFFSET = 14
"""Bits of a kernel position's distance from the first one; from 2^13 on, none is inside, wherever its window begins."""


def further(coordinate: Value, step: Value) -> Value:
    """A coordinate plus a step of 8 bits; from 2^12 on, where no input is, it stays beyond."""
    beyond, total = coordinate[-2] & ~coordinate[-1], coordinate + step
    return Cat(total[: COORDINATE - 2], total[COORDINATE - 2] | beyond, total[COORDINATE - 1] & ~beyond).as_signed()


class Window(wiring.Component):
    """Row address of input pixel (o·stride + k·dilation − pad) for output position o and kernel position k.

    Two counters, one over output positions and one over kernel positions and, fastest, channel rows; either may be the
    inner one. What depends on the end of a tile in the same cycle is only how many are left; coordinates and addresses
    follow a cycle later. Their sums and comparisons make a pipeline of `WINDOW_LATENCY` stages, which nothing holds up.

    depth : rows of the scratchpad
    groups : whether the position counter can go back, `keep` and `again`

    Members
    -------
    geometry fields, channel_rows, steps : taken with `begin` and in the cycle after it; `steps` from a `WindowSetup`,
        the others as they are from the cycle before `begin` on
    begin : with `moves`: the counters are at their first values in the next cycle; wins over the steps
    next_position, next_kernel : step a counter; after its last value it begins again; `next_kernel` with each beginning
    moves : it begins, or `next_position`; the user may know of either before it knows which
    follows : before it begins, neither is the position counter to begin again nor the kernel counter to step: what they
        need for that may be the next fields'; with each beginning
    keep : with `next_position`: the position stepped to is the one that `again` goes back to; the first one at first
    again : with `next_position`: go back
    last_position, last_kernel : the counter is at its last value
    last_kernel_next : `last_kernel` after the next step of the counter
    one_kernel : the fields of a cycle ago have one kernel position and channel row
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
                "follows": In(1),
                "next_position": In(1),
                "moves": In(1),
                "next_kernel": In(1),
                **({"keep": In(1), "again": In(1)} if groups else {}),
                "last_position": Out(1),
                "last_kernel": Out(1),
                "last_kernel_next": Out(1),
                "one_kernel": Out(1),
                "valid": Out(1),
                "outside": Out(1),
                "address": Out(ADDRESS_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        begins = Signal()  # `begin` a cycle ago, when coordinates and addresses follow what the counters did
        m.d.sync += begins.eq(self.begin & self.moves)
        steps = self._held(m, begins, self.steps, "steps")
        position = self._position(m, begins, steps)
        kernel = self._kernel(m, begins, steps)
        height, width = (self._held(m, begins, v) for v in (self.input_height, self.input_width))

        # Sums, with the limits that belong to them, since the coordinates may already be of the next instruction.
        y, x = (Signal(signed(_OFFSET + 2), name=name, reset_less=True) for name in ("y", "x"))
        limit_y, limit_x = Signal(12, reset_less=True), Signal(12, reset_less=True)
        address = Signal(ADDRESS_BITS, reset_less=True)
        m.d.sync += [
            y.eq(position[0] + kernel[0]),
            x.eq(position[1] + kernel[1]),
            address.eq(position[2] + kernel[2]),
            limit_y.eq(height),
            limit_x.eq(width),
        ]
        # Comparisons.
        inside = (y >= 0) & (y < limit_y) & (x >= 0) & (x < limit_x)
        m.d.sync += [
            self.valid.eq(inside),
            self.outside.eq(inside & (address >= self.depth)),
            self.address.eq(address),
        ]
        return m

    def _held(self, m: Module, when: Value, value: Value, name: str | None = None) -> Signal:
        """A register that takes the value then."""
        held = Signal(value.shape(), name=f"{name or value.name}_held", reset_less=True)
        with m.If(when):
            m.d.sync += held.eq(value)
        return held

    def _position(self, m: Module, begins: Value, steps: Value) -> tuple[Value, Value, Value]:
        """The counter over output positions; returns its share of (y, x, address), a cycle later."""
        begins_here = self.begin & self.moves
        rows = self._held(m, self.follows, self.output_height)
        columns = self._held(m, begins_here, self.output_width)

        def state(name: str, widths: dict[str, ShapeLike]) -> tuple[Signal, ...]:
            return tuple(Signal(w, name=f"{name}_{part}", reset_less=True) for part, w in widths.items())

        # A counter's comparison with 0 is a register beside it, and so is whether all are: much depends on the end of a
        # tile in the same cycle. No value stays as it is while another one moves: all have one enable, which is early.
        counters = {"rows_left": 12, "columns_left": 12, "last_row": 1, "last_column": 1, "last": 1}
        place = rows_left, columns_left, last_row, last_column, last = state("position", counters)

        def ends(row: Value, column: Value) -> tuple[Value, Value, Value]:
            return row, column, row & column

        one_row, one_column = Signal(), Signal()
        m.d.sync += [one_row.eq(self.output_height == 1), one_column.eq(self.output_width == 1)]
        begin = (self.output_height - 1, self.output_width - 1, *ends(one_row, one_column))
        onward = (
            Mux(last, rows - 1, rows_left - last_column),
            Mux(last_column, columns, columns_left) - 1,
            *ends(
                Mux(last_column, Mux(last_row, rows == 1, rows_left == 1), last_row),
                Mux(last_column, columns == 1, columns_left == 1),
            ),
        )
        m.d.comb += self.last_position.eq(last)
        keep, again = C(0, 1), C(0, 1)
        if self.groups:
            keep, again = self.begin | (self.next_position & self.keep), self.again & ~self.begin
        following = [Mux(self.begin, a, b) for a, b in zip(begin, onward, strict=True)]
        self._walk(m, place, (self.moves, keep, again), following)

        y, x, line, here = at = state(
            "position", {"y": signed(COORDINATE), "x": signed(COORDINATE), "line": ADDRESS_BITS, "here": ADDRESS_BITS}
        )
        stride_y, stride_x = (self._held(m, begins, v) for v in (self.stride_height, self.stride_width))
        first_y, first_x = Signal(signed(13), reset_less=True), Signal(signed(13), reset_less=True)
        origin = self._held(m, self.follows, self.steps.origin, "origin")
        with m.If(self.follows):
            m.d.sync += first_y.eq(-self.pad_top)
        with m.If(begins_here):
            m.d.sync += first_x.eq(-self.pad_left)
        to_first, to_line = Signal(), Signal()  # with the beginning, all go to their first values
        moved, keep_later, again_later = (Signal(name=name) for name in ("moved", "keep_later", "again_later"))
        m.d.sync += [to_first.eq(last | self.begin), to_line.eq(last_column)]
        m.d.sync += [moved.eq(self.moves), keep_later.eq(keep), again_later.eq(again)]
        below = line + Mux(to_line, steps.position_row, 0)
        first = (first_y, first_x, origin, origin)
        onward = (
            further(y, Mux(to_line, stride_y, 0)),
            Mux(to_line, first_x, further(x, stride_x)),
            below,
            Mux(to_line, below, here + steps.position_column),
        )
        following = [Mux(to_first, a, b) for a, b in zip(first, onward, strict=True)]
        self._walk(m, at, (moved, keep_later, again_later), following)
        return y, x, here

    def _walk(
        self, m: Module, registers: Sequence[Signal], controls: Sequence[Value], following: Sequence[Value]
    ) -> None:
        """Registers that go on to the values that follow; controls: (moves, keep, again)."""
        moves, keep, again = controls
        if self.groups:
            kept = [Signal.like(register, name=f"kept_{register.name}") for register in registers]
            with m.If(keep):
                m.d.sync += [register.eq(value) for register, value in zip(kept, following, strict=True)]
            following = [Mux(again, a, b) for a, b in zip(kept, following, strict=True)]
        with m.If(moves):
            m.d.sync += [register.eq(value) for register, value in zip(registers, following, strict=True)]

    def _kernel(self, m: Module, begins: Value, steps: Value) -> tuple[Value, Value, Value]:
        """The counter over kernel positions and their channel rows; returns its share of (y, x, address), later."""
        rows, columns, channels = (
            self._held(m, self.follows, v) for v in (self.kernel_height, self.kernel_width, self.channel_rows)
        )
        rows_left, columns_left = Signal(8, reset_less=True), Signal(8, reset_less=True)
        channels_left = Signal(12, reset_less=True)
        last_row, last_column, pixel_end = Signal(), Signal(), Signal()  # a counter has come to 0
        line_end, last = Signal(), Signal()
        m.d.comb += [line_end.eq(pixel_end & last_column), self.last_kernel.eq(last)]
        ends = pixel_end, last_column, last_row
        begin = tuple(Signal(name=f"one_kernel_{name}") for name in ("channel", "column", "row"))
        fields = self.channel_rows, self.kernel_width, self.kernel_height
        m.d.sync += [register.eq(field == 1) for register, field in zip(begin, fields, strict=True)]
        onward = (
            Mux(pixel_end, channels == 1, channels_left == 1),
            Mux(line_end, columns == 1, Mux(pixel_end, columns_left == 1, last_column)),
            Mux(last, rows == 1, Mux(line_end, rows_left == 1, last_row)),
        )
        left = rows_left, columns_left, channels_left
        first_left = self.kernel_height - 1, self.kernel_width - 1, self.channel_rows - 1
        onward_left = (
            Mux(last, rows - 1, rows_left - line_end),
            Mux(line_end, columns - 1, columns_left - pixel_end),
            Mux(pixel_end, channels, channels_left) - 1,
        )
        m.d.comb += [self.one_kernel.eq(Cat(begin).all()), self.last_kernel_next.eq(Cat(onward).all())]
        with m.If(self.next_kernel):
            m.d.sync += last.eq(Mux(self.follows, self.one_kernel, self.last_kernel_next))
            m.d.sync += [
                register.eq(Mux(self.follows, a, b))
                for register, a, b in zip((*left, *ends), (*first_left, *begin), (*onward_left, *onward), strict=True)
            ]

        stride_y, stride_x = (self._held(m, begins, v) for v in (self.dilation_height, self.dilation_width))
        y, x = Signal(_OFFSET, reset_less=True), Signal(_OFFSET, reset_less=True)
        names = ("kernel_line", "kernel_pixel", "kernel_here")
        line, pixel, here = (Signal(ADDRESS_BITS, name=name, reset_less=True) for name in names)
        stepped, to_pixel, to_line, to_first = Signal(), Signal(), Signal(), Signal()
        m.d.sync += [stepped.eq(self.next_kernel), to_pixel.eq(pixel_end), to_line.eq(line_end), to_first.eq(last)]

        def on(offset: Value, step: Value) -> Value:
            total = offset + step
            return Cat(total[: _OFFSET - 1], total[_OFFSET - 1] | offset[-1])

        beside, below = pixel + steps.kernel_column, line + steps.kernel_row
        with m.If(begins | (stepped & to_first)):
            m.d.sync += Cat(y, x, line, pixel, here).eq(0)
        with m.Elif(stepped & to_line):
            m.d.sync += [x.eq(0), y.eq(on(y, stride_y)), line.eq(below), pixel.eq(below), here.eq(below)]
        with m.Elif(stepped & to_pixel):
            m.d.sync += [x.eq(on(x, stride_x)), pixel.eq(beside), here.eq(beside)]
        with m.Elif(stepped):
            m.d.sync += here.eq(here + 1)
        return y, x, here
