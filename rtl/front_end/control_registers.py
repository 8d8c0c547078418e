"""Control registers: the AXI4-Lite slave of `emulator.registers`, and the interrupt line."""

from functools import reduce
from operator import or_

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for, exact_log2

from emulator.bus import BOUNDARY_BYTES
from emulator.config import AcceleratorConfig
from emulator.instructions import INSTRUCTION_BYTES, Error
from emulator.registers import (
    CONTROL_ACKNOWLEDGE,
    CONTROL_RESET,
    CONTROL_START,
    COUNTERS,
    COUNTERS_OFFSET,
    LANE_COUNTERS,
    LANE_COUNTERS_OFFSET,
    LANE_PITCH,
    REGISTER_ADDRESS_BITS,
    register,
)

from ..bus.axi import AXI4Lite
from ..post_processing.lane_counters import COUNTER_BYTE
from ..unit import ERROR_BITS, INDEX_BITS
from .telemetry import COUNTER_HALF, ROUND

WORD = 32
WORD_SHIFT = 2
_LANE_SHIFT = exact_log2(LANE_PITCH)
_LANE_BIT = exact_log2(LANE_COUNTERS_OFFSET)


class ControlRegisters(wiring.Component):
    """A write takes effect in the cycle in which the later one of its address and data is taken, to what describes the
    program a cycle later. A read takes 3 cycles, of a counter up to two rounds of those who visit the counters, and
    brings what has been counted up to its beginning.

    What describes the program cannot be written during a run; low bits that must be 0 are.

    Members
    -------
    lite : the bus
    start, reset : for one cycle, in that of the write
    program_address, program_bytes, memory_base, memory_bytes : as written
    running, resetting, done, failed, error, error_index, ends, clear : as of `Completion`
    coming, counters, lane_counters : what `Telemetry` will visit and visits, and `LaneCounters` in each lane
    interrupt : the run has ended, this has not been acknowledged, and the interrupt is enabled
    """

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        self.lanes = config.columns if config.counters else 0  # that have counters
        self.aligned = {
            "program_address": INSTRUCTION_BYTES,
            "program_bytes": INSTRUCTION_BYTES,
            "memory_base": BOUNDARY_BYTES,
            "memory_bytes": config.bus_bytes,
        }
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
                "clear": In(1),
                "coming": In(range(ROUND)),
                "counters": In(COUNTER_HALF),
                "lane_counters": In(data.ArrayLayout(COUNTER_BYTE, config.columns)),
                "interrupt": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        enable, pending, acknowledge = Signal(), Signal(), Signal()
        # In the first cycle of a run `Completion` still says how the one before has ended, and what its error is means
        # something only where it has failed.
        done, failed = self.done & ~self.clear, Signal()
        m.d.comb += failed.eq(self.failed & ~self.clear)
        values = {
            "status": Cat(self.running, done, failed, self.resetting),
            "interrupt_enable": enable,
            "error": Mux(failed, self.error, Error.NONE),
            "error_index": Mux(failed, self.error_index, 0),
            "config_hash": C(int(self.config.hash()[:8], 16), WORD),
            **{name: getattr(self, name) for name in self.aligned},
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
        # A bit for each register that can be written: the address means it, it is written, it has been
        # while nothing ran.
        names = ("control", "interrupt_enable", *self.aligned)
        meant, held, now, written = (
            Signal(len(names), name=name) for name in ("meant", "held_meant", "written_now", "written")
        )
        word, strobes = Signal(WORD), Signal(WORD // 8)
        address_held, word_held, writes = Signal(), Signal(), Signal()
        m.d.comb += [
            lite.awready.eq(~address_held),
            lite.wready.eq(~word_held),
            meant.eq(Cat(lite.awaddr[WORD_SHIFT:] == register(name).offset >> WORD_SHIFT for name in names)),
            writes.eq((address_held | lite.awvalid) & (word_held | lite.wvalid) & ~lite.bvalid),
        ]
        with m.If(lite.awvalid & lite.awready):
            m.d.sync += [address_held.eq(1), held.eq(meant)]
        with m.If(lite.wvalid & lite.wready):
            m.d.sync += [word_held.eq(1), word.eq(lite.wdata), strobes.eq(lite.wstrb)]
        with m.If(lite.bvalid & lite.bready):
            m.d.sync += lite.bvalid.eq(0)
        with m.If(writes):
            m.d.sync += [address_held.eq(0), word_held.eq(0), lite.bvalid.eq(1)]
        m.d.comb += now.eq(Mux(writes, Mux(address_held, held, meant), 0))
        m.d.sync += written.eq(Mux(self.running, 0, now))  # none of which is the control register's
        # The count of cycles begins with the write, and the interrupt follows it before the response.
        byte, is_byte = Mux(word_held, word[:8], lite.wdata[:8]), Mux(word_held, strobes[0], lite.wstrb[0])
        commands = Mux(now[names.index("control")] & is_byte, byte, 0)
        m.d.comb += [
            self.reset.eq((commands & CONTROL_RESET).any()),
            self.start.eq((commands & CONTROL_START).any() & ~self.reset & ~self.running),
            acknowledge.eq((commands & CONTROL_ACKNOWLEDGE).any()),
        ]
        with m.If(now[names.index("interrupt_enable")] & is_byte):
            m.d.sync += enable.eq(byte[0])
        for name, unit in self.aligned.items():
            target = getattr(self, name)
            # `word` and `strobes` still hold what was written.
            with m.If(written[names.index(name)]):
                for byte in range(WORD // 8):
                    low, high = max(8 * byte, exact_log2(unit)), 8 * byte + 8
                    if low < high:
                        with m.If(strobes[byte]):
                            m.d.sync += target[low:high].eq(word[low:high])

    def _read(self, m: Module, values: dict[int, Value]) -> None:
        """Address, a bit for each register, then the word that is meant, once it is there."""
        lite = self.lite
        address, looks, waits = Signal(REGISTER_ADDRESS_BITS), Signal(), Signal()
        m.d.comb += lite.arready.eq(~looks & ~waits & ~lite.rvalid)
        m.d.sync += looks.eq(lite.arvalid & lite.arready)
        with m.If(lite.arvalid & lite.arready):
            m.d.sync += address.eq(lite.araddr)
        place = address[WORD_SHIFT:]
        is_counter = Signal()
        m.d.comb += is_counter.eq((address >= COUNTERS_OFFSET) & (address < COUNTERS_OFFSET + 8 * len(COUNTERS)))
        counter, counter_there = self._counter(m, address, looks)
        lane, lane_there = self._lane_counter(m, address, looks)
        words = [
            *((place == offset >> WORD_SHIFT, Value.cast(value)) for offset, value in values.items()),
            (is_counter & ~address[WORD_SHIFT], counter[:WORD]),
            (is_counter & address[WORD_SHIFT], counter[WORD:]),
        ]
        meant, of_counter, of_lane = Signal(len(words)), Signal(), Signal()
        m.d.sync += [
            meant.eq(Cat(bit for bit, _ in words)),
            of_counter.eq(is_counter),
            of_lane.eq(
                address[_LANE_BIT]
                & (address[_LANE_SHIFT:_LANE_BIT] < self.lanes)
                & (address[WORD_SHIFT:_LANE_SHIFT] < len(LANE_COUNTERS))
            ),
        ]
        chosen = [Mux(bit, value, 0) for bit, (_, value) in zip(meant, words, strict=True)]
        there = Mux(of_counter, counter_there, ~of_lane | lane_there)
        with m.If(looks):
            m.d.sync += waits.eq(1)
        with m.Elif(waits & there):
            m.d.sync += [lite.rdata.eq(reduce(or_, chosen, Mux(of_lane, lane, 0))), lite.rvalid.eq(1), waits.eq(0)]
        with m.Elif(lite.rready):
            m.d.sync += lite.rvalid.eq(0)

    def _counter(self, m: Module, address: Value, begins: Value) -> tuple[Value, Value]:
        """(a counter as it goes by, whether both halves have, the lower one first)."""
        index, half = address[WORD_SHIFT + 1 :][: len(self.coming) - 1], self.counters.half
        lower, upper = (Signal(len(half), reset_less=True, name=name) for name in ("lower", "upper"))
        lower_here, upper_here, begun, there = Signal(), Signal(), Signal(), Signal()
        comes = self.coming[1:] == index  # with the address of the read before where this one begins
        m.d.sync += [lower_here.eq(comes & ~self.coming[0]), upper_here.eq(comes & self.coming[0])]
        with m.If(lower_here):
            m.d.sync += [lower.eq(half), begun.eq(1)]
        with m.If(upper_here):
            m.d.sync += [upper.eq(half), there.eq(begun)]
        with m.If(begins):
            m.d.sync += [begun.eq(0), there.eq(0)]
        return Cat(lower, upper), there

    def _lane_counter(self, m: Module, address: Value, begins: Value) -> tuple[Value, Value]:
        """The same of a counter of a lane, byte by byte."""
        if not self.lanes:
            return C(0, WORD), C(1, 1)
        word, begun, there = Signal(WORD), Signal(), Signal()
        visited = Signal(COUNTER_BYTE)  # of the lane that is meant
        m.d.sync += visited.eq(self.lane_counters[address[_LANE_SHIFT:][: bits_for(max(self.lanes - 1, 1))]])
        byte, here = visited.place[:2], visited.place[2:] == address[WORD_SHIFT:_LANE_SHIFT]
        for index in range(WORD // 8):
            with m.If(here & (byte == index)):
                m.d.sync += word.word_select(index, 8).eq(visited.byte)
        with m.If(here & (byte == 0)):
            m.d.sync += begun.eq(1)
        with m.If(here & (byte == WORD // 8 - 1)):
            m.d.sync += there.eq(begun)
        with m.If(begins):
            m.d.sync += [begun.eq(0), there.eq(0)]
        return word, there
