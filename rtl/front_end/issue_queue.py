"""Issue queue: a unit's instructions, and the wait of the oldest one for its tokens."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from emulator.instructions import INSTRUCTION_BITS, OPCODE_BITS, QUEUE_DEPTH, UNIT_OF, Unit, used_bits

from ..memory.block_ram import block_ram
from ..unit import INDEX_BITS, ISSUED


class IssueQueue(wiring.Component):
    """QUEUE_DEPTH instructions and the head, in a register of its own, as wide as the unit's widest format.

    A block RAM must not be read where it is written. So what may enter is written while it stands before the queue,
    into the place behind the last one, and the queue can read it in the cycle in which it enters. Before a full queue,
    it is written in the cycle after a place has become free, far from what is read.

    Members
    -------
    clear, stopping : be empty; issue nothing from the next cycle on
    early : in the next cycle there is what may enter in the one after that or later
    instruction, index : what may enter; it stays until then
    push, full : it enters; there is no room
    available : bit u: there is a token of unit u for this unit
    issued : the head, once its tokens are there; it takes a cycle to see them
    consumes : the head's `wait`, bit u for unit u
    valid, head_index : there is a head; its index
    eligible : the head's tokens are there
    present : there is an instruction
    moving : the head's register fills in this cycle
    """

    def __init__(self, unit: Unit):
        self.bits = max(used_bits(opcode) for opcode, of in UNIT_OF.items() if of == unit)
        super().__init__(
            {
                "clear": In(1),
                "stopping": In(1),
                "early": In(1),
                "push": In(1),
                "instruction": In(INSTRUCTION_BITS),
                "index": In(INDEX_BITS),
                "full": Out(1),
                "available": In(len(Unit)),
                "issued": Out(stream.Signature(ISSUED)),
                "consumes": Out(len(Unit)),
                "valid": Out(1),
                "head_index": Out(INDEX_BITS),
                "eligible": Out(1),
                "present": Out(1),
                "moving": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.entries = entries = block_ram(self.bits + INDEX_BITS, QUEUE_DEPTH, always=True)
        write, read = entries.write_port(), entries.read_port()
        # The level's highest bit says that the queue is full: its depth is a power of two.
        # The head is a block RAM's output register: no reset, and the next row is read a cycle after it has loaded one.
        level, head = Signal(range(QUEUE_DEPTH + 1)), Signal(self.bits + INDEX_BITS, reset_less=True)
        # Whether `level` is not 0; whether the head's register fills in this cycle, and whether it will as soon as the
        # head is taken. That comes late and enables much, so all else is ready for it.
        some, fills, follows = Signal(), Signal(), Signal()
        writes, taken, loads, ready = Signal(reset_less=True), Signal(), Signal(), Signal()
        m.d.comb += [
            write.en.eq(writes),
            write.data.eq(Cat(self.instruction[: self.bits], self.index)),
            read.en.eq(1),
            self.full.eq(level[-1]),
            self.consumes.eq(head[OPCODE_BITS:]),
            self.head_index.eq(head[self.bits :]),
            self.issued.valid.eq(self.eligible),
            self.issued.payload.instruction.eq(head[: self.bits]),
            self.issued.payload.index.eq(self.head_index),
            taken.eq(self.issued.valid & self.issued.ready),
            self.moving.eq(fills),
            loads.eq(fills | (follows & self.issued.ready)),
            self.present.eq(some | self.valid),
            ready.eq(self.valid & ~taken & (~self.consumes | self.available).all() & ~self.stopping),
        ]
        m.d.sync += [
            writes.eq(Mux(self.full, loads, self.early)),
            level.eq(Mux(loads, level - ~self.push, level + self.push)),
            some.eq(self.push | (some & ~(loads & (level == 1)))),
            fills.eq(self.push & ~some & (~self.valid | taken)),
            self.eligible.eq(ready),
            follows.eq(ready & (some | self.push)),
        ]
        with m.If(loads):
            m.d.sync += [head.eq(read.data), read.addr.eq(read.addr + 1), self.valid.eq(1)]
        with m.Elif(taken):
            m.d.sync += self.valid.eq(0)
        with m.If(self.push):
            m.d.sync += write.addr.eq(write.addr + 1)
        with m.If(self.clear):
            m.d.sync += [register.eq(0) for register in (level, some, fills, follows, self.valid, self.eligible)]
            m.d.sync += [read.addr.eq(0), write.addr.eq(0)]
        return m
