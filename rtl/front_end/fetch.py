"""Fetch: asks for one instruction per burst, several of them ahead, and keeps the words that arrive."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from emulator.config import AcceleratorConfig
from emulator.front_end import FETCH_AHEAD
from emulator.instructions import INSTRUCTION_BYTES, Error

from ..memory.block_ram import block_ram
from ..unit import ERROR_BITS

SETTLE, CHECK, REQUEST, END = range(4)
"""States: the limits are looked at; a request is decided; it waits for its grant; no instruction follows."""


class Fetch(wiring.Component):
    """A buffer of FETCH_AHEAD instructions in front of the decoder, in words of the bus.

    A request takes three cycles or more: its limits are looked at, it is decided, and it waits for its grant. A word is
    available two cycles after its beat: a block RAM must not be read where it is written.

    Members
    -------
    clear : begin with the program's first instruction
    stop : ask for nothing more; a request that waits is withdrawn
    program_address, program_bytes, memory_bytes : where the program lies; bytes
    request, address, length, grant : a burst waits: offset in the region, beats − 1; it is taken in this cycle
    valid, data, refused : a beat arrives; with an error response
    available, word, word_refused, take : the buffer's oldest word, and that it is taken
    exhausted, end_error : no word will come; why there is no further instruction
    idle : nothing is asked for
    """

    def __init__(self, config: AcceleratorConfig):
        self.words = INSTRUCTION_BYTES // config.bus_bytes
        width = 8 * config.bus_bytes
        super().__init__(
            {
                "clear": In(1),
                "stop": In(1),
                "program_address": In(32),
                "program_bytes": In(32),
                "memory_bytes": In(32),
                "request": Out(1),
                "address": Out(32),
                "length": Out(8),
                "grant": In(1),
                "valid": In(1),
                "data": In(width),
                "refused": In(1),
                "available": Out(1),
                "word": Out(width),
                "word_refused": Out(1),
                "take": In(1),
                "exhausted": Out(1),
                "end_error": Out(ERROR_BITS),
                "idle": Out(1),
            }
        )
        self.width = width

    def elaborate(self, platform):
        m = Module()
        size, shift = FETCH_AHEAD * self.words, exact_log2(INSTRUCTION_BYTES)
        remaining, room = Signal(32 - shift), Signal(signed(33 - shift))
        reserved, expected, level = (Signal(range(size + 1), name=name) for name in ("reserved", "expected", "level"))
        state, granted, arrived = Signal(range(4)), Signal(), Signal()
        has_room, some = Signal(), Signal()  # whether there is room for one more instruction; whether `level` is not 0
        m.d.comb += [
            self.length.eq(self.words - 1),
            self.exhausted.eq((state == END) & (reserved == 0)),
            self.idle.eq((expected == 0) & ~self.request & ~granted),
            self.available.eq(some),
        ]
        # `grant`, `take` and `valid` come late: a request counts from two cycles after its grant on, when the next one
        # may be decided, and both sums are ready for the other two.
        change = Mux(granted, self.words, 0)
        most = Mux(granted, size - 2 * self.words, size - self.words)  # where there is room for one more
        m.d.sync += [
            reserved.eq(Mux(self.take, reserved + (change - 1), reserved + change)),
            has_room.eq((reserved <= most) | (self.take & (reserved == most + 1))),
            expected.eq(Mux(self.valid, expected + (change - 1), expected + change)),
            some.eq(arrived | (some & ~(self.take & (level == 1)))),
            level.eq(Mux(self.take, Mux(arrived, level, level - 1), Mux(arrived, level + 1, level))),
            granted.eq(self.grant),
            arrived.eq(self.valid),
        ]
        with m.Switch(state):
            with m.Case(SETTLE):
                m.d.sync += [
                    self.end_error.eq(
                        Mux(remaining == 0, Error.PROGRAM_END, Mux(room <= 0, Error.ADDRESS, Error.NONE))
                    ),
                    state.eq(CHECK),
                ]
            with m.Case(CHECK):
                with m.If(~self.stop & (self.end_error != Error.NONE)):
                    m.d.sync += state.eq(END)
                with m.Elif(~self.stop & has_room):
                    m.d.sync += [self.request.eq(1), state.eq(REQUEST)]
            with m.Case(REQUEST):
                with m.If(self.grant):
                    m.d.sync += [
                        self.request.eq(0),
                        self.address.eq(self.address + INSTRUCTION_BYTES),
                        remaining.eq(remaining - 1),
                        room.eq(room - 1),
                        state.eq(SETTLE),
                    ]
                with m.Elif(self.stop):
                    m.d.sync += [self.request.eq(0), state.eq(CHECK)]
        with m.If(self.clear):
            m.d.sync += [
                state.eq(SETTLE),
                self.request.eq(0),
                self.address.eq(self.program_address),
                remaining.eq(self.program_bytes >> shift),
                room.eq(self.memory_bytes[shift:] - self.program_address[shift:]),
                reserved.eq(0),
                expected.eq(0),
                level.eq(0),
                some.eq(0),
                granted.eq(0),
                arrived.eq(0),
            ]
        self._buffer(m, 1 << ceil_log2(size))
        return m

    def _buffer(self, m: Module, size: int) -> None:
        m.submodules.words = words = block_ram(self.width + 1, size, always=True)
        write, read = words.write_port(), words.read_port()
        oldest, following = Signal.like(read.addr), Signal.like(read.addr, init=1)
        m.d.comb += [
            read.en.eq(1),
            read.addr.eq(Mux(self.take, following, oldest)),
            write.en.eq(self.valid),
            write.data.eq(Cat(self.data, self.refused)),
            Cat(self.word, self.word_refused).eq(read.data),
        ]
        with m.If(self.valid):
            m.d.sync += write.addr.eq(write.addr + 1)
        m.d.sync += oldest.eq(read.addr)
        with m.If(self.take):
            m.d.sync += following.eq(following + 1)
        with m.If(self.clear):
            m.d.sync += [write.addr.eq(0), oldest.eq(0), following.eq(1)]
