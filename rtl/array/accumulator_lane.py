"""Accumulator lane: the partial sums and biases of one array column."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from emulator.config import AcceleratorConfig
from emulator.instructions import PARAMETER_ENTRIES

from ..control import PARAMETER_WRITE, accumulate_control
from ..memory.block_ram import block_ram


class AccumulatorLane(wiring.Component):
    """Two banks of sums of P bits with their overflow flags, one of even rows and one of odd rows.

    A sum to carry on takes its bank's read port; otherwise the port is post-processing's.

    Members
    -------
    control, control_out : from the lane at the left; to the lane at the right, one cycle later
    read, read_address, read_out, read_address_out : post-processing reads a row; travelling likewise
    parameter_write : `PARAMETER_WRITE`; bytes 0–3 of an entry are its bias
    start, start_overflowed : to the column's top, three cycles after the control
    result, result_overflowed : from the column's bottom, in the cycle of the control's `write`
    sums, overflowed : the row of the last `read`, from two and from three cycles after it on; its sum is that of its
        bank, the other bank's is 0
    """

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        total, row = signed(config.arithmetic.accumulator_bits), bits_for(config.accumulator_depth - 1)
        super().__init__(
            {
                "control": In(accumulate_control(config)),
                "control_out": Out(accumulate_control(config)),
                "read": In(1),
                "read_address": In(row),
                "read_out": Out(1),
                "read_address_out": Out(row),
                "parameter_write": In(PARAMETER_WRITE),
                "start": Out(total),
                "start_overflowed": Out(1),
                "result": In(total),
                "result_overflowed": In(1),
                "sums": Out(total).array(2),
                "overflowed": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        control = self.control
        m.d.sync += [
            self.control_out.eq(control),
            self.read_out.eq(self.read),
            self.read_address_out.eq(self.read_address),
        ]
        # A block RAM is slow: registers behind it, 0 where their bank is not meant, and then the one that is not 0.
        read = [self._bank(m, bank) for bank in range(2)]
        carries, bank, reads, other_bank = Signal(), Signal(), Signal(), Signal()
        m.d.sync += [
            carries.eq(control.carry),
            bank.eq(control.read_address[0]),
            reads.eq(self.read),
            other_bank.eq(self.read_address[0]),
        ]
        bias = self._bias(m)
        sources = {"bias": Mux(carries, 0, bias)}
        for index, value in enumerate(read):
            sources[f"carried_{index}"] = Mux(carries & (bank == index), value, 0)
        kept = {name: Signal(len(read[0]), name=name, reset_less=True) for name in sources}
        data = [Signal(len(read[0]), name=f"data_{index}", reset_less=True) for index in range(2)]
        m.d.sync += [
            *(kept[name].eq(value) for name, value in sources.items()),
            Cat(self.start, self.start_overflowed).eq(kept["bias"] | kept["carried_0"] | kept["carried_1"]),
            self.overflowed.eq(data[0][-1] | data[1][-1]),
        ]
        m.d.comb += [total.eq(half[:-1].as_signed()) for total, half in zip(self.sums, data, strict=True)]
        with m.If(reads):
            m.d.sync += [half.eq(Mux(other_bank == index, read[index], 0)) for index, half in enumerate(data)]
        return m

    def _bank(self, m: Module, bank: int) -> Value:
        """One bank; returns what it reads, a flag above the sum."""
        control, depth = self.control, (self.config.accumulator_depth + 1) // 2
        entry = self.config.arithmetic.accumulator_bits + 1
        m.submodules[f"bank_{bank}"] = memory = block_ram(entry, depth)
        write, read = memory.write_port(), memory.read_port()
        mine = control.carry & (control.read_address[0] == bank)
        m.d.comb += [
            write.en.eq(control.write & (control.write_address[0] == bank)),
            write.addr.eq(control.write_address[1:]),
            write.data.eq(Cat(self.result, self.result_overflowed)),
            read.en.eq(1),
            read.addr.eq(Mux(mine, control.read_address[1:], self.read_address[1:])),
        ]
        return read.data

    def _bias(self, m: Module) -> Value:
        """The bias of the control's entry, a cycle later; as wide as a sum, below a flag of 0."""
        arithmetic, given = self.config.arithmetic, self.parameter_write
        m.submodules.biases = biases = block_ram(32, PARAMETER_ENTRIES, always=True)
        write, read = biases.write_port(granularity=8), biases.read_port()
        m.d.comb += [
            write.en.eq(given.bytes[:4]),
            write.addr.eq(given.entry),
            write.data.eq(given.data.replicate(4)),
            read.en.eq(1),
            read.addr.eq(self.control.parameters),
        ]
        bias = Signal(signed(arithmetic.accumulator_bits))
        m.d.comb += bias.eq(read.data[: arithmetic.bias_bits].as_signed())
        return bias.as_unsigned()
