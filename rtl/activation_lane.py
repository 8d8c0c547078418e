"""Activation lane: one bank of the activation scratchpad and the subtraction of the zero point, for one array row."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from emulator.config import AcceleratorConfig

from .control import row_control


class ActivationLane(wiring.Component):
    """Feeds ``code − zero_point`` (0 where padding) to its array row, one cycle after its control.

    Members
    -------
    control, control_out : from the lane above; to the lane below, one cycle later
    zero_point : the input's zero point, constant while an instruction executes
    write, write_address, write_data : the loader's port of the bank
    x, swap, load : to the row's first processing element
    """

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        code = signed(config.arithmetic.activation_bits)
        super().__init__(
            {
                "control": In(row_control(config)),
                "control_out": Out(row_control(config)),
                "zero_point": In(code),
                "write": In(1),
                "write_address": In(bits_for(config.activation_depth - 1)),
                "write_data": In(8),
                "x": Out(signed(config.arithmetic.activation_bits + 1)),
                "swap": Out(1),
                "load": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        bits = self.config.arithmetic.activation_bits
        m.submodules.bank = bank = Memory(shape=8, depth=self.config.activation_depth, init=[])
        write, read = bank.write_port(), bank.read_port()
        valid = Signal()
        m.d.comb += [
            write.en.eq(self.write),
            write.addr.eq(self.write_address),
            write.data.eq(self.write_data),
            read.en.eq(1),
            read.addr.eq(self.control.address),
            self.x.eq(Mux(valid, read.data[:bits].as_signed() - self.zero_point, 0)),
        ]
        m.d.sync += [
            self.control_out.eq(self.control),
            valid.eq(self.control.valid),
            self.swap.eq(self.control.swap),
            self.load.eq(self.control.load),
        ]
        return m
