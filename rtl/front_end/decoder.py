"""Decoder: gathers an instruction's words, checks its fields and puts it into its unit's queue."""

from functools import reduce
from itertools import pairwise
from operator import and_

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from emulator.config import AcceleratorConfig
from emulator.front_end import DECODE_STAGES
from emulator.instructions import (
    INSTRUCTION_BITS,
    INSTRUCTION_BYTES,
    OPCODE_BITS,
    UNIT_OF,
    Error,
    Opcode,
    Unit,
    exists,
    fields_of,
    used_bits,
)

from ..fields import fields_layout
from ..unit import ERROR_BITS, INDEX_BITS


class Decoder(wiring.Component):
    """An instruction stays DECODE_STAGES cycles, longer while its queue is full; the next one is gathered meanwhile and
    follows a cycle later.

    Members
    -------
    clear : begin at index 0; what is put into a queue in that cycle is cleared with the queue
    halt : put nothing more into a queue
    available, word, word_refused, take : words of the fetch's buffer
    exhausted, end_error : no word will come; the error of the instruction that would be next
    full : of each unit's queue
    push, instruction, index : enters the queue of unit u in this cycle
    early : in the next cycle an instruction is being checked, and may enter later
    ended : HALT has been decoded
    blocked : the instruction waits for room in its queue
    fault, fault_code, fault_index : for one cycle: an instruction is refused
    """

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        super().__init__(
            {
                "clear": In(1),
                "halt": In(1),
                "available": In(1),
                "word": In(8 * config.bus_bytes),
                "word_refused": In(1),
                "take": Out(1),
                "exhausted": In(1),
                "end_error": In(ERROR_BITS),
                "full": In(len(Unit)),
                "early": Out(1),
                "push": Out(len(Unit)),
                "instruction": Out(INSTRUCTION_BITS),
                "index": Out(INDEX_BITS),
                "ended": Out(1),
                "blocked": Out(1),
                "fault": Out(1),
                "fault_code": Out(ERROR_BITS),
                "fault_index": Out(INDEX_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        words, width = INSTRUCTION_BYTES // self.config.bus_bytes, 8 * self.config.bus_bytes
        gathered, count, next_index = (
            Signal(INSTRUCTION_BITS, reset_less=True),
            Signal(range(words + 1)),
            Signal(INDEX_BITS),
        )
        # A word and its refusal go into registers that a block RAM has behind it: no reset, and nothing but `take`.
        last_refused, is_last, earlier_refused = Signal(reset_less=True), Signal(), Signal()
        refused, code_refused = (is_last & last_refused) | earlier_refused, Signal()
        # `age` has a bit for each cycle of an instruction in here, `rests` is set where there is none and may be one.
        age, rests = Signal(DECODE_STAGES), Signal(init=1)
        moves, complete, enters = Signal(), Signal(), Signal()
        error, illegal, halts, units = self._check(m, code_refused)
        m.d.comb += [
            complete.eq(count[-1]),  # it counts up to `words`, a power of two
            moves.eq(complete & rests),
            enters.eq((units & ~self.full).any()),
            self.take.eq(self.available & (~complete | rests)),
        ]
        m.d.sync += count.eq(Mux(moves, 0, count) + self.take)
        with m.If(self.take):
            m.d.sync += [gathered.eq(Cat(gathered, self.word)[width:]), last_refused.eq(self.word_refused)]
        m.d.sync += [is_last.eq(self.take | (is_last & ~moves)), earlier_refused.eq(refused & ~moves)]

        decides, rested, goes_on = age[-1], Signal(), Signal()
        m.d.comb += [
            # Nothing more comes, and an instruction leaves the decoder: both only where nothing stops them.
            rested.eq(rests & self.exhausted & (count == 0) & ~self.halt),
            goes_on.eq(decides & ~self.halt),
            self.push.eq(Mux(goes_on, units & ~self.full, 0)),
            self.early.eq(moves | age[:-2].any()),
            self.blocked.eq(decides & (units & self.full).any()),
        ]
        m.d.sync += [
            age.eq(Cat(moves, age[:-2], age[-2] | (decides & ~(goes_on & (enters | halts | illegal))))),
            rests.eq((rests & ~moves & ~rested) | (goes_on & enters)),
            self.fault.eq(rested | (goes_on & illegal)),
            # Whoever sees no fault does not look at these.
            self.fault_code.eq(Mux(rests, self.end_error, error)),
            self.fault_index.eq(Mux(rests, next_index, self.index)),
        ]
        with m.If(goes_on & halts):
            m.d.sync += self.ended.eq(1)
        with m.If(moves):
            m.d.sync += [
                self.instruction.eq(gathered),
                code_refused.eq(refused),
                self.index.eq(next_index),
                next_index.eq(next_index + 1),
            ]
        with m.If(self.clear):
            m.d.sync += [
                age.eq(0),
                rests.eq(1),
                count.eq(0),
                is_last.eq(0),
                earlier_refused.eq(0),
                next_index.eq(0),
                self.ended.eq(0),
                self.fault.eq(0),
            ]
        return m

    def _check(self, m: Module, refused: Value) -> tuple[Signal, Signal, Signal, Signal]:
        """Two cycles after the instruction: its error, if there is one; without, if it is HALT; its unit as a bit."""
        features = self.config.features
        opcodes = [
            opcode
            for opcode in Opcode
            if exists(opcode, features) and (opcode != Opcode.COUNTERS or self.config.counters)
        ]
        # Bits that some opcodes do not use, from where one of them ends to where the next one does.
        bounds = sorted({used_bits(opcode, features) for opcode in opcodes} | {INSTRUCTION_BITS})
        beyond = {low: Signal(name=f"bits_from_{low}") for low in bounds[:-1]}
        for low, high in pairwise(bounds):
            m.d.sync += beyond[low].eq(self.instruction[low:high].any())
        known, legal = [], {}
        for opcode in opcodes:
            is_this, fits = Signal(name=f"is_{opcode.name.lower()}"), Signal(name=f"fits_{opcode.name.lower()}")
            m.d.sync += [
                is_this.eq(self.instruction[:OPCODE_BITS] == opcode),
                fits.eq(self._fits(opcode)),
            ]
            known.append(is_this)
            unused = Cat(bits for low, bits in beyond.items() if low >= used_bits(opcode, features))
            legal[opcode] = is_this & fits & ~refused & ~unused.any()
        error, illegal, halts, units = Signal(ERROR_BITS), Signal(), Signal(), Signal(len(Unit))
        m.d.sync += [
            error.eq(
                Mux(
                    refused,
                    Error.BUS,
                    Mux(Cat(legal.values()).any(), Error.NONE, Mux(Cat(known).any(), Error.FIELD, Error.OPCODE)),
                )
            ),
            illegal.eq(~Cat(legal.values()).any()),
            halts.eq(legal[Opcode.HALT]),
            units.eq(
                Cat(Cat(is_legal for o, is_legal in legal.items() if UNIT_OF.get(o) == unit).any() for unit in Unit)
            ),
        ]
        return error, illegal, halts, units

    def _fits(self, opcode: Opcode) -> Value:
        """Whether the fields of the format of `opcode` hold values that it allows."""
        fields = fields_layout(opcode)(self.instruction)
        features = self.config.features
        checks: list[Value] = []
        for field in fields_of(opcode, features):
            value, least = fields[field.name], -(1 << (field.bits - 1)) if field.signed else 0
            if field.low > least:
                checks.append(value.any() if field.low == 1 and not field.signed else value >= field.low)
            if field.most(features) < least + (1 << field.bits) - 1:
                checks.append(value <= field.most(features))
        return reduce(and_, checks, C(1, 1))
