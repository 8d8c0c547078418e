"""Control registers: the AXI4-Lite slave of `emulator.registers`, and the interrupt line."""

from functools import reduce
from operator import or_

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from emulator.bus import BOUNDARY_BYTES
from emulator.config import AcceleratorConfig
from emulator.instructions import INSTRUCTION_BYTES
from emulator.registers import (
    CONTROL_ACKNOWLEDGE,
    CONTROL_RESET,
    CONTROL_START,
    COUNTER_BITS,
    COUNTERS,
    COUNTERS_OFFSET,
    LANE_COUNTER_BITS,
    LANE_COUNTERS,
    LANE_COUNTERS_OFFSET,
    LANE_PITCH,
    REGISTER_ADDRESS_BITS,
    register,
)

from ..bus.axi import AXI4Lite
from ..unit import ERROR_BITS, INDEX_BITS

WORD = 32
WORD_SHIFT = 2
_LANE_SHIFT = exact_log2(LANE_PITCH)
_LANE_BIT = exact_log2(LANE_COUNTERS_OFFSET)


class ControlRegisters(wiring.Component):
    """A write takes effect in the cycle in which the later one of its address and data is taken; a read takes 4 cycles.

    What describes the program cannot be written during a run; low bits that must be 0 are.

    Members
    -------
    lite : the bus
    start, reset : for one cycle, in that of the write
    program_address, program_bytes, memory_base, memory_bytes : as written
    running, resetting, done, failed, error, error_index, ends : as of `Completion`
    counters, lane_counters : what can be read; the latter [lane][counter]
    interrupt : the run has ended, this has not been acknowledged, and the interrupt is enabled
    """

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        self.aligned = {
            "program_address": INSTRUCTION_BYTES,
            "program_bytes": INSTRUCTION_BYTES,
            "memory_base": BOUNDARY_BYTES,
            "memory_bytes": config.bus_bytes,
        }
        lane = data.ArrayLayout(LANE_COUNTER_BITS, len(LANE_COUNTERS))
        super().__init__(
            {
                "lite": In(AXI4Lite(REGISTER_ADDRESS_BITS)),
                "start": Out(1),
                "reset": Out(1),
                **{name: Out(WORD) for name in self.aligned},
                "running": In(1),
                "resetting": In(1),
                "done": In(1),
                "failed": In(1),
                "error": In(ERROR_BITS),
                "error_index": In(INDEX_BITS),
                "ends": In(1),
                "counters": In(data.ArrayLayout(COUNTER_BITS, len(COUNTERS))),
                "lane_counters": In(data.ArrayLayout(lane, config.columns)),
                "interrupt": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        enable, pending, acknowledge = Signal(), Signal(), Signal()
        values = {
            "status": Cat(self.running, self.done, self.failed, self.resetting),
            "interrupt_enable": enable,
            "error": self.error,
            "error_index": self.error_index,
            "config_hash": C(int(self.config.hash()[:8], 16), WORD),
            **{name: getattr(self, name) for name in self.aligned},
            **dict(zip(COUNTERS, self.counters, strict=True)),
        }
        self._write(m, enable, acknowledge)
        self._read(m, {register(name).offset: value for name, value in values.items()})
        m.d.comb += self.interrupt.eq(pending & enable)
        with m.If(self.ends):
            m.d.sync += pending.eq(1)
        with m.Elif(acknowledge | self.start | self.reset):
            m.d.sync += pending.eq(0)
        return m

    def _write(self, m: Module, enable: Signal, acknowledge: Signal) -> None:
        lite = self.lite
        address, word, strobes = Signal(REGISTER_ADDRESS_BITS), Signal(WORD), Signal(WORD // 8)
        held_address, held_word, held_strobes = (
            Signal.like(s, name=f"held_{s.name}") for s in (address, word, strobes)
        )
        address_held, word_held, writes = Signal(), Signal(), Signal()
        m.d.comb += [
            lite.awready.eq(~address_held),
            lite.wready.eq(~word_held),
            address.eq(Mux(address_held, held_address, lite.awaddr)),
            word.eq(Mux(word_held, held_word, lite.wdata)),
            strobes.eq(Mux(word_held, held_strobes, lite.wstrb)),
            writes.eq((address_held | lite.awvalid) & (word_held | lite.wvalid) & ~lite.bvalid),
        ]
        with m.If(lite.awvalid & lite.awready):
            m.d.sync += [address_held.eq(1), held_address.eq(lite.awaddr)]
        with m.If(lite.wvalid & lite.wready):
            m.d.sync += [word_held.eq(1), held_word.eq(lite.wdata), held_strobes.eq(lite.wstrb)]
        with m.If(lite.bvalid & lite.bready):
            m.d.sync += lite.bvalid.eq(0)
        with m.If(writes):
            m.d.sync += [address_held.eq(0), word_held.eq(0), lite.bvalid.eq(1)]

        def is_written(name: str) -> Value:
            return writes & (address[WORD_SHIFT:] == register(name).offset >> WORD_SHIFT)

        commands = Mux(is_written("control") & strobes[0], word[:8], 0)
        m.d.comb += [
            self.reset.eq((commands & CONTROL_RESET).any()),
            self.start.eq((commands & CONTROL_START).any() & ~self.reset & ~self.running),
            acknowledge.eq((commands & CONTROL_ACKNOWLEDGE).any()),
        ]
        with m.If(is_written("interrupt_enable") & strobes[0]):
            m.d.sync += enable.eq(word[0])
        for name, unit in self.aligned.items():
            target = getattr(self, name)
            with m.If(is_written(name) & ~self.running):
                for byte in range(WORD // 8):
                    low, high = max(8 * byte, exact_log2(unit)), 8 * byte + 8
                    if low < high:
                        with m.If(strobes[byte]):
                            m.d.sync += target[low:high].eq(word[low:high])

    def _read(self, m: Module, values: dict[int, Value]) -> None:
        """Address, a bit for each register, the words of both halves of the map, then the one that is meant."""
        lite = self.lite
        address, stages = Signal(REGISTER_ADDRESS_BITS), Signal(3)
        word, lane_words, index = Signal(WORD), Signal(WORD * len(LANE_COUNTERS)), address[_LANE_SHIFT:_LANE_BIT]
        m.d.comb += lite.arready.eq(~stages.any() & ~lite.rvalid)
        m.d.sync += stages.eq(Cat(lite.arvalid & lite.arready, stages))
        with m.If(lite.arvalid & lite.arready):
            m.d.sync += address.eq(lite.araddr)
        words = {
            (offset >> WORD_SHIFT) + part: Value.cast(value)[WORD * part : WORD * part + WORD]
            for offset, value in values.items()
            for part in range(2 if offset >= COUNTERS_OFFSET else 1)
        }
        meant = Signal(len(words))
        m.d.sync += meant.eq(Cat(address[WORD_SHIFT:] == place for place in words))
        with m.If(stages[1]):
            m.d.sync += [
                word.eq(reduce(or_, (Mux(bit, value, 0) for bit, value in zip(meant, words.values(), strict=True)))),
                lane_words.eq(0),
            ]
            with m.Switch(index):
                for lane, counts in enumerate(self.lane_counters):
                    with m.Case(lane):
                        m.d.sync += lane_words.eq(counts)
        with m.If(stages[2]):
            chosen = lane_words.word_select(address[WORD_SHIFT:_LANE_SHIFT], WORD)
            m.d.sync += [lite.rdata.eq(Mux(address[_LANE_BIT], chosen, word)), lite.rvalid.eq(1)]
        with m.Elif(lite.rready):
            m.d.sync += lite.rvalid.eq(0)
