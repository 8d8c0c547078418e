"""DepthwiseChain: one column's steps of a depthwise convolution, its weights and the sums that wait."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for, exact_log2

from emulator.config import AcceleratorConfig
from emulator.depthwise_segments import STREAM_TAPS
from emulator.instructions import DEPTHWISE_SUMS, DEPTHWISE_WORDS

from ..array.sum_step import sum_step
from ..memory.block_ram import block_ram

SWAP_DELAY = 2
"""Cycles from a segment's control until the first step takes its weight from the word."""
READ_DELAY = 2
"""Cycles from an output's control until the waiting sum that it carries on is read."""
WRITE_DELAY = 4
"""Cycles from an output's control until its sum would wait, were there no steps."""


def streams(config: AcceleratorConfig) -> int:
    """Kernel lines whose codes the steps take at the same time."""
    return max(config.depthwise_taps // STREAM_TAPS, 1)


def depthwise_write(config: AcceleratorConfig) -> data.StructLayout:
    """A code for a lane's weights: address pitch · word + tap."""
    return data.StructLayout({"write": 1, "address": bits_for(DEPTHWISE_WORDS * config.depthwise_pitch - 1), "data": 8})


def chain_control(config: AcceleratorConfig) -> data.StructLayout:
    """Control of a chain, which travels from lane to lane.

    swap, word : a segment's first code is on its way, whose weights are in this word
    valid : of each stream: its code counts
    carry : an output that was on its way `READ_DELAY` cycles ago begins at waiting sum `read_row`, or else at the bias
    write, write_row : the sum of the last step waits there
    """
    row = bits_for(DEPTHWISE_SUMS - 1)
    return data.StructLayout(
        {
            "swap": 1,
            "word": bits_for(DEPTHWISE_WORDS - 1),
            "valid": streams(config),
            "carry": 1,
            "read_row": row,
            "write": 1,
            "write_row": row,
        }
    )


class DepthwiseChain(wiring.Component):
    """A step a tap: ``sum = overflow(sum above + (code − input zero point) · (weight − zero point))``, one a cycle.

    The steps of a stream all see its codes in the cycle in which they come: a sum that moves on by a step a cycle meets
    the next code in each.

    Members
    -------
    control : `chain_control`
    write : `depthwise_write`, of LOAD
    difference : of each stream, a code less its zero point, or 0; three cycles after its position's control
    bias, zero_point : initial sum; zero point of the weights, where the config has them
    sum, overflowed : of the last step, taps + 4 cycles after the control of the output's first code
    """

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        arithmetic = config.arithmetic
        super().__init__(
            {
                "control": In(chain_control(config)),
                "write": In(depthwise_write(config)),
                "difference": In(signed(9)).array(streams(config)),
                "bias": In(signed(arithmetic.accumulator_bits)),
                "zero_point": In(signed(arithmetic.weight_bits)),
                "sum": Out(signed(arithmetic.accumulator_bits)),
                "overflowed": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, taps = self.config, self.config.depthwise_taps
        arithmetic = config.arithmetic
        weights = self._weights(m)
        swaps = Signal(SWAP_DELAY + taps)
        m.d.sync += swaps.eq(Cat(self.control.swap, swaps))
        total, overflowed = self._start(m)
        for tap in range(taps):
            active = Signal(signed(config.array_weight_bits), name=f"weight_{tap}", reset_less=True)
            product = Signal(signed(9 + config.array_weight_bits), name=f"product_{tap}", reset_less=True)
            with m.If(swaps[SWAP_DELAY - 1 + tap]):
                m.d.sync += active.eq(weights[tap])
            m.d.sync += product.eq(self.difference[tap * streams(config) // taps] * active)
            kept, flag = sum_step(m, total, overflowed, product, arithmetic, f"_{tap}")
            total = Signal(signed(arithmetic.accumulator_bits), name=f"sum_{tap}", reset_less=True)
            overflowed = Signal(name=f"overflowed_{tap}", reset_less=True)
            m.d.sync += [total.eq(kept), overflowed.eq(flag)]
        m.d.comb += [self.sum.eq(total), self.overflowed.eq(overflowed)]
        return m

    def _weights(self, m: Module) -> list[Value]:
        """Of each tap, what it multiplies with from its swap on: the latest word keeps until the next one is read."""
        config, bits = self.config, self.config.arithmetic.weight_bits
        pitch_bits = exact_log2(config.depthwise_pitch)
        m.submodules.weights = memory = block_ram(8 * config.depthwise_taps, DEPTHWISE_WORDS)
        write, read = memory.write_port(granularity=8), memory.read_port()
        tap = self.write.address[:pitch_bits]
        m.d.comb += [
            write.en.eq(Cat(self.write.write & (tap == index) for index in range(config.depthwise_taps))),
            write.addr.eq(self.write.address[pitch_bits:]),
            write.data.eq(self.write.data.replicate(config.depthwise_taps)),
            read.en.eq(self.control.swap),
            read.addr.eq(self.control.word),
        ]
        codes = [read.data.word_select(index, 8)[:bits].as_signed() for index in range(config.depthwise_taps)]
        if not config.weight_zero_points:
            return codes
        made = [Signal(signed(bits + 1), name=f"word_{index}", reset_less=True) for index in range(len(codes))]
        m.d.sync += [weight.eq(code - self.zero_point) for weight, code in zip(made, codes, strict=True)]
        return made

    def _start(self, m: Module) -> tuple[Value, Value]:
        """What an output's sum begins with, four cycles after its control, and its flag."""
        control, bits = self.control, self.config.arithmetic.accumulator_bits
        m.submodules.waiting = memory = block_ram(bits + 1, DEPTHWISE_SUMS)
        write, read = memory.write_port(), memory.read_port()
        carry, start = Signal(), Signal(bits + 1, reset_less=True)
        m.d.comb += [
            write.en.eq(control.write),
            write.addr.eq(control.write_row),
            write.data.eq(Cat(self.sum, self.overflowed)),
            read.en.eq(1),
            read.addr.eq(control.read_row),
        ]
        m.d.sync += [carry.eq(control.carry), start.eq(Mux(carry, read.data, Cat(self.bias, C(0, 1))))]
        return start[:bits].as_signed(), start[bits]
