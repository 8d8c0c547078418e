"""Window setup: the products that a `Window` needs to walk a map without multiplying."""

from functools import reduce
from operator import or_

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from emulator.instructions import ADDRESS_BITS, FORMATS, Opcode
from emulator.timing import WINDOW_SETUP_CYCLES

_GEOMETRY = ("output_", "kernel_", "input_", "stride_", "dilation_", "pad_")
WINDOW_FIELDS = {
    field.name: Shape(field.bits, field.signed)
    for field in FORMATS[Opcode.CONVOLVE]
    if field in FORMATS[Opcode.REDUCE] and field.name.startswith(_GEOMETRY)
}
"""Geometry that CONVOLVE and REDUCE share: heights, widths, strides, dilations, padding."""

WINDOW_STEPS = data.StructLayout(
    {
        "position_row": ADDRESS_BITS,
        "position_column": ADDRESS_BITS,
        "kernel_row": ADDRESS_BITS,
        "kernel_column": ADDRESS_BITS,
        "origin": ADDRESS_BITS,
    }
)
"""Scratchpad rows, modulo 2^20, from output line to output line, from output pixel to output pixel, the same for window
lines and pixels, and the row of the first window's first pixel (which padding may put before the map)."""

_HALF = ADDRESS_BITS // 2


class WindowSetup(wiring.Component):
    """One registered multiplier of 18 × 18 bits, a product per cycle; lines of more rows are split into two halves.

    Members
    -------
    geometry fields : as in the CONVOLVE and REDUCE formats, constant from `start` until `ready`
    channel_rows : factor of `tiles`
    base, pixel_rows : scratchpad row of pixel (0, 0); rows from pixel to pixel
    start : begin
    ready : the results are valid; 0 from the cycle after `start`, 1 again `WINDOW_SETUP_CYCLES` after it
    will_be_ready : `ready` of the next cycle
    steps : `WINDOW_STEPS`
    tiles, positions : kernel_height · kernel_width · channel_rows; output_height · output_width
    """

    def __init__(self):
        super().__init__(
            {
                **{name: In(shape) for name, shape in WINDOW_FIELDS.items()},
                "channel_rows": In(12),
                "base": In(16),
                "pixel_rows": In(12),
                "start": In(1),
                "ready": Out(1),
                "will_be_ready": Out(1),
                "steps": Out(WINDOW_STEPS),
                "tiles": Out(28),
                "positions": Out(24),
            }
        )

    def elaborate(self, platform):
        m = Module()
        line = Signal(ADDRESS_BITS, reset_less=True)
        area = Signal(16, reset_less=True)
        low, high = line[:_HALF], line[_HALF:]
        steps = self.steps
        # (factors, what becomes of the product); `line` and `area` are there three entries after their own.
        sequence = [
            (self.input_width, self.pixel_rows, lambda p: line.eq(p)),
            (self.kernel_height, self.kernel_width, lambda p: area.eq(p)),
            (self.stride_width, self.pixel_rows, lambda p: steps.position_column.eq(p)),
            (self.dilation_width, self.pixel_rows, lambda p: steps.kernel_column.eq(p)),
            (self.stride_height, low, lambda p: steps.position_row.eq(p)),
            (self.stride_height, high, lambda p: steps.position_row.eq(steps.position_row + (p << _HALF))),
            (self.dilation_height, low, lambda p: steps.kernel_row.eq(p)),
            (self.dilation_height, high, lambda p: steps.kernel_row.eq(steps.kernel_row + (p << _HALF))),
            (self.pad_left, self.pixel_rows, lambda p: steps.origin.eq(self.base - p)),
            (self.pad_top, low, lambda p: steps.origin.eq(steps.origin - p)),
            (self.pad_top, high, lambda p: steps.origin.eq(steps.origin - (p << _HALF))),
            (area, self.channel_rows, lambda p: self.tiles.eq(p)),
            (self.output_height, self.output_width, lambda p: self.positions.eq(p)),
        ]
        assert len(sequence) + 3 == WINDOW_SETUP_CYCLES
        stage = Signal(WINDOW_SETUP_CYCLES - 1)  # one bit travels; bit k: the factors of entry k are chosen
        a, b = Signal(signed(18), reset_less=True), Signal(signed(18), reset_less=True)
        product = Signal(signed(36), reset_less=True)
        # A start ends what is under way.
        m.d.sync += [stage.eq(Mux(self.start, 1, stage << 1)), product.eq(a * b)]
        factors: tuple[list[Value], list[Value]] = [], []
        for index, (first, second, keep) in enumerate(sequence):
            for factor, values in zip((first, second), factors, strict=True):
                values.append(Mux(stage[index], factor, 0))
            with m.If(stage[index + 2]):
                m.d.sync += keep(product)
        # Of several values all but one are 0: no priorities to find out.
        m.d.sync += [register.eq(reduce(or_, values)) for register, values in zip((a, b), factors, strict=True)]
        m.d.comb += self.will_be_ready.eq(~self.start & (stage[-1] | self.ready))
        m.d.sync += self.ready.eq(self.will_be_ready)
        return m
