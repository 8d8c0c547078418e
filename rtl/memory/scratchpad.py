"""Scratchpad: rows of codes, one row written and one row read per cycle."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from .block_ram import block_ram


class Scratchpad(wiring.Component):
    """`depth` rows of `lanes` bytes. A read sees what was written in earlier cycles.

    Members
    -------
    write, write_address, write_data : a row, lane 0 in bits 0–7
    read, read_address : read a row; without `read`, `data` keeps its value
    data : the row, one cycle after its address
    """

    def __init__(self, lanes: int, depth: int):
        self.lanes, self.depth = lanes, depth
        address = bits_for(depth - 1)
        super().__init__(
            {
                "write": In(1),
                "write_address": In(address),
                "write_data": In(8 * lanes),
                "read": In(1),
                "read_address": In(address),
                "data": Out(8 * lanes),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = block_ram(8 * self.lanes, self.depth)
        write, read = memory.write_port(), memory.read_port()
        m.d.comb += [
            write.en.eq(self.write),
            write.addr.eq(self.write_address),
            write.data.eq(self.write_data),
            read.en.eq(self.read),
            read.addr.eq(self.read_address),
            self.data.eq(read.data),
        ]
        return m
