"""Weight lane: the zero points of one array column's weights."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from emulator.arithmetic import Arithmetic
from emulator.instructions import PARAMETER_ENTRIES, WEIGHT_ZERO_POINT_ROW

from ..control import PARAMETER_WRITE
from ..memory.block_ram import block_ram


class WeightLane(wiring.Component):
    """``weight = code − zero point``, on a column's way from the weight scratchpad to the array (contract, section 9).

    Members
    -------
    parameter_write : `PARAMETER_WRITE`; byte `WEIGHT_ZERO_POINT_ROW` of an entry is its zero point
    entry, entry_out : entry of a weight row, two cycles before its code; to the lane at the right, one cycle later
    code : weight_bits bits
    weight : in the same cycle, a bit wider
    """

    def __init__(self, arithmetic: Arithmetic):
        self.bits = arithmetic.weight_bits
        entry = range(PARAMETER_ENTRIES)
        super().__init__(
            {
                "parameter_write": In(PARAMETER_WRITE),
                "entry": In(entry),
                "entry_out": Out(entry),
                "code": In(signed(self.bits)),
                "weight": Out(signed(self.bits + 1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        given = self.parameter_write
        m.submodules.zero_points = zero_points = block_ram(signed(self.bits), PARAMETER_ENTRIES)
        write, read = zero_points.write_port(), zero_points.read_port()
        zero_point = Signal(signed(self.bits), reset_less=True)
        m.d.comb += [
            write.en.eq(given.bytes[WEIGHT_ZERO_POINT_ROW]),
            write.addr.eq(given.entry),
            write.data.eq(given.data),
            read.en.eq(1),
            read.addr.eq(self.entry),
            self.weight.eq(self.code - zero_point),
        ]
        m.d.sync += [self.entry_out.eq(self.entry), zero_point.eq(read.data)]
        return m
