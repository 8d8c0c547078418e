"""Window: walks the positions of a convolution or pooling window over a map in a scratchpad, without multiplying."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from emulator.instructions import ADDRESS_BITS, FORMATS, Opcode
from emulator.timing import PREPARE_CYCLES

WINDOW_FIELDS = {
    field.name: Shape(field.bits, field.signed) for field in FORMATS[Opcode.CONVOLVE] if field in FORMATS[Opcode.POOL]
}
_COORDINATE = signed(22)


class Window(wiring.Component):
    """Row address of input pixel (o·stride + k·dilation − pad) for output position o and kernel position k.

    Two counters, one over output positions and one over kernel positions, columns first; either may be the inner one.

    Members
    -------
    geometry fields : as in the CONVOLVE and POOL formats, constant from `start` on
    base, pixel_rows : scratchpad row of pixel (0, 0); rows from pixel to pixel
    start : begin at the first positions, `PREPARE_CYCLES` later
    next_position, next_kernel : step a counter; after its last value it begins again
    last_position, last_kernel : the counter is at its last value
    valid : the pixel lies inside the input
    address : its scratchpad row, modulo 2^ADDRESS_BITS
    """

    geometry = tuple(WINDOW_FIELDS)

    def __init__(self):
        super().__init__(
            {
                **{name: In(shape) for name, shape in WINDOW_FIELDS.items()},
                "base": In(16),
                "pixel_rows": In(12),
                "start": In(1),
                "next_position": In(1),
                "next_kernel": In(1),
                "last_position": Out(1),
                "last_kernel": Out(1),
                "valid": Out(1),
                "address": Out(ADDRESS_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        line, row_step, column_step, kernel_row_step, kernel_column_step, pad_rows, pad_columns, origin = (
            Signal(ADDRESS_BITS, name=name, reset_less=True)
            for name in (
                "line",
                "row_step",
                "column_step",
                "kernel_row_step",
                "kernel_column_step",
                "pad_rows",
                "pad_columns",
                "origin",
            )
        )
        prepare = Signal(PREPARE_CYCLES - 1)
        m.d.sync += prepare.eq(Cat(self.start, prepare))
        m.d.sync += [
            line.eq(self.input_width * self.pixel_rows),
            column_step.eq(self.stride_width * self.pixel_rows),
            kernel_column_step.eq(self.dilation_width * self.pixel_rows),
            pad_columns.eq(self.pad_left * self.pixel_rows),
            row_step.eq(self.stride_height * line),
            kernel_row_step.eq(self.dilation_height * line),
            pad_rows.eq(self.pad_top * line),
            origin.eq(self.base - pad_columns),
        ]
        position_last = self._counter(
            m,
            "position",
            (self.output_height, self.output_width),
            (self.stride_height, self.stride_width),
            (row_step, column_step),
            self.next_position,
            prepare[-1],
            (-self.pad_top, -self.pad_left),
            origin - pad_rows,
        )
        kernel_last = self._counter(
            m,
            "kernel",
            (self.kernel_height, self.kernel_width),
            (self.dilation_height, self.dilation_width),
            (kernel_row_step, kernel_column_step),
            self.next_kernel,
            prepare[-1],
            (C(0), C(0)),
            C(0),
        )
        y, x = Signal(_COORDINATE), Signal(_COORDINATE)
        m.d.comb += [
            self.last_position.eq(position_last[0]),
            self.last_kernel.eq(kernel_last[0]),
            y.eq(position_last[1] + kernel_last[1]),
            x.eq(position_last[2] + kernel_last[2]),
            self.valid.eq((y >= 0) & (y < self.input_height) & (x >= 0) & (x < self.input_width)),
            self.address.eq(position_last[3] + kernel_last[3]),
        ]
        return m

    def _counter(self, m, name, extents, strides, steps, step, start, first, address):
        """A two-level counter with its input coordinates and address; returns (last, y, x, address)."""
        row, column = Signal(12, name=f"{name}_row"), Signal(12, name=f"{name}_column")
        y, x = Signal(_COORDINATE, name=f"{name}_y"), Signal(_COORDINATE, name=f"{name}_x")
        first_x, first_address = Signal.like(x, name=f"{name}_first_x"), Signal(ADDRESS_BITS, name=f"{name}_first")
        first_y = Signal.like(y, name=f"{name}_first_y")
        row_address, here = (Signal(ADDRESS_BITS, name=f"{name}_{part}") for part in ("row_address", "address"))
        m.d.comb += [first_y.eq(first[0]), first_x.eq(first[1]), first_address.eq(address)]
        last_column, last_row = column == extents[1] - 1, row == extents[0] - 1
        last = last_column & last_row
        with m.If(start | (step & last)):
            m.d.sync += [
                row.eq(0),
                column.eq(0),
                y.eq(first_y),
                x.eq(first_x),
                row_address.eq(first_address),
                here.eq(first_address),
            ]
        with m.Elif(step & last_column):
            m.d.sync += [
                row.eq(row + 1),
                column.eq(0),
                y.eq(y + strides[0]),
                x.eq(first_x),
                row_address.eq(row_address + steps[0]),
                here.eq(row_address + steps[0]),
            ]
        with m.Elif(step):
            m.d.sync += [column.eq(column + 1), x.eq(x + strides[1]), here.eq(here + steps[1])]
        return last, y, x, here
