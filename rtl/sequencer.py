"""Sequencer: fetches instructions from memory, checks them, starts a unit and waits until it is done."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from emulator.config import AcceleratorConfig
from emulator.instructions import FORMATS, INSTRUCTION_BITS, INSTRUCTION_BYTES, Error, Opcode, used_bits

from .fields import fields_layout
from .memory_port import MemoryPort

UNIT_OF = {
    Opcode.LOAD: "transfer",
    Opcode.STORE: "transfer",
    Opcode.PARAMETERS: "post_process",
    Opcode.COUNTERS: "post_process",
    Opcode.REQUANTIZE: "post_process",
    Opcode.POOL: "post_process",
    Opcode.CONVOLVE: "convolve",
}
UNITS = ("transfer", "convolve", "post_process")


class Sequencer(wiring.Component):
    """In order, one instruction at a time: fetch, decode (one cycle), execute.

    Members
    -------
    start, program_address, memory_bytes : begin a run; where the program lies; size of its memory region
    done, error, error_index, cycles : a run has ended, why, at which instruction, and how many cycles it took
    port : external memory, for instructions
    fetching : the port is the sequencer's
    instruction : the current instruction
    starts, finished, faults : one per unit of `UNITS`
    clear : a run starts
    """

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        super().__init__(
            {
                "start": In(1),
                "program_address": In(32),
                "memory_bytes": In(32),
                "done": Out(1),
                "error": Out(4),
                "error_index": Out(32),
                "cycles": Out(48),
                "port": Out(MemoryPort(config.bus_bytes)),
                "fetching": Out(1),
                "instruction": Out(INSTRUCTION_BITS),
                "starts": Out(len(UNITS)),
                "finished": In(len(UNITS)),
                "faults": In(len(UNITS)),
                "clear": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        port, width = self.port, self.config.bus_bytes
        words = INSTRUCTION_BYTES // width
        counter = Signal(32)
        asked, received = Signal(range(words + 1)), Signal(range(words))
        known, legal, units = self._decode(m)
        running = Signal()
        m.d.sync += self.cycles.eq(self.cycles + running)
        m.d.comb += [
            running.eq(1),
            port.read.payload.eq((counter >> exact_log2(width)) + asked),
            port.read_data.ready.eq(1),
        ]
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += running.eq(0)
                with m.If(self.start):
                    m.d.comb += self.clear.eq(1)
                    m.d.sync += [
                        counter.eq(self.program_address),
                        self.done.eq(0),
                        self.error.eq(Error.NONE),
                        self.error_index.eq(0),
                        self.cycles.eq(0),
                        asked.eq(0),
                    ]
                    m.next = "FETCH"
            with m.State("FETCH"):
                m.d.comb += self.fetching.eq(1)
                with m.If(counter + INSTRUCTION_BYTES > self.memory_bytes):
                    m.d.sync += [self.error.eq(Error.ADDRESS), self.done.eq(1)]
                    m.next = "IDLE"
                with m.Else():
                    m.d.comb += port.read.valid.eq(asked != words)
                    with m.If(port.read.valid & port.read.ready):
                        m.d.sync += asked.eq(asked + 1)
                    with m.If(port.read_data.valid):
                        m.d.sync += [
                            self.instruction.eq(Cat(self.instruction[8 * width :], port.read_data.payload)),
                            received.eq(received + 1),
                        ]
                        with m.If(received == words - 1):
                            m.d.sync += received.eq(0)
                            m.next = "DECODE"
            with m.State("DECODE"):
                m.d.sync += [counter.eq(counter + INSTRUCTION_BYTES), asked.eq(0)]
                with m.If(~known | ~legal):
                    m.d.sync += [self.error.eq(Mux(known, Error.FIELD, Error.OPCODE)), self.done.eq(1)]
                    m.next = "IDLE"
                with m.Elif(self.instruction[:8] == Opcode.HALT):
                    m.d.sync += self.done.eq(1)
                    m.next = "IDLE"
                with m.Else():
                    m.d.comb += self.starts.eq(units)
                    m.next = "EXECUTE"
            with m.State("EXECUTE"):
                with m.If((self.finished & units).any()):
                    with m.If((self.finished & self.faults).any()):
                        m.d.sync += [self.error.eq(Error.ADDRESS), self.done.eq(1)]
                        m.next = "IDLE"
                    with m.Else():
                        m.d.sync += self.error_index.eq(self.error_index + 1)
                        m.next = "FETCH"
        return m

    def _decode(self, m: Module) -> tuple[Value, Value, Value]:
        """Whether the opcode is known, whether all its fields are legal, and a mask of the unit that executes it."""
        known, legal, units = Signal(), Signal(), Signal(len(UNITS))
        with m.Switch(self.instruction[:8]):
            for opcode, fields in FORMATS.items():
                if opcode == Opcode.COUNTERS and not self.config.counters:
                    continue
                with m.Case(opcode):
                    view = data.View(fields_layout(opcode), self.instruction)
                    checks = [self.instruction[used_bits(opcode) :] == 0]
                    checks += [view[f.name] >= f.minimum for f in fields if f.minimum is not None]
                    checks += [view[f.name] <= f.maximum for f in fields if f.maximum is not None]
                    m.d.comb += [known.eq(1), legal.eq(Cat(checks).all())]
                    if opcode in UNIT_OF:
                        m.d.comb += units.eq(1 << UNITS.index(UNIT_OF[opcode]))
        return known, legal, units
