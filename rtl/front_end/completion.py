"""Completion: what stops a run, which fault counts, and when the run has ended."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from emulator.front_end import SETTLE_CYCLES
from emulator.instructions import Error, Unit

from ..unit import ERROR_BITS, INDEX_BITS

UNITS = len(Unit)
FAULT = data.StructLayout({"valid": 1, "code": ERROR_BITS, "index": INDEX_BITS})


class Completion(wiring.Component):
    """The faults of the first cycle with any are kept, and that of the oldest instruction is chosen in three steps.

    What is under way lies far closer together than indices count, so that the older one is known also where they have
    begun again at 0.

    Members
    -------
    start, reset : for one cycle: begin a run (while none is running); soft reset
    faults, token_faults : bit u / [u]: of unit u, in this cycle; a token fault comes from an older instruction
    decoder_fault : of an instruction that is younger than all in the units
    heads : index of the oldest instruction in each unit's queue, for a deadlock
    idle : no unit is busy and the fetch waits for nothing
    quiet : nothing moves, and nothing is left to decode or to make room for
    running, stopping, resetting : a run is under way; it stops; because of a soft reset
    clear : for one cycle: the first of a run, and the one after a soft reset
    ends : for one cycle: the run's last, unless a soft reset ended it
    done, failed, error, error_index : how the last run ended, until the cycle after `clear`
    """

    def __init__(self):
        super().__init__(
            {
                "start": In(1),
                "reset": In(1),
                "faults": In(data.ArrayLayout(FAULT, UNITS)),
                "token_faults": In(data.ArrayLayout(FAULT, UNITS)),
                "decoder_fault": In(FAULT),
                "heads": In(data.ArrayLayout(FAULT, UNITS)),
                "idle": In(1),
                "quiet": In(1),
                "running": Out(1),
                "stopping": Out(1),
                "resetting": Out(1),
                "clear": Out(1),
                "ends": Out(1),
                "done": Out(1),
                "failed": Out(1),
                "error": Out(ERROR_BITS),
                "error_index": Out(INDEX_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        quiet_cycles, stopping_cycles = (
            Signal(range(SETTLE_CYCLES + 1), name=f"{name}_cycles") for name in ("quiet", "stopping")
        )
        settled, drained, completed, faulty = Signal(), Signal(), Signal(), Signal()
        waiting = Cat(head.valid for head in self.heads).any()
        chosen = self._choose(m, settled)
        m.d.comb += [
            settled.eq(self.quiet & (quiet_cycles == SETTLE_CYCLES)),
            drained.eq(self.stopping & (stopping_cycles == SETTLE_CYCLES) & self.idle),
            completed.eq(~self.stopping & ~faulty & settled & ~waiting),
            faulty.eq(Cat(fault.valid for fault in (*self.faults, *self.token_faults, self.decoder_fault)).any()),
            self.ends.eq(self.running & ~self.reset & ~self.resetting & (drained | completed)),
        ]
        m.d.sync += [
            quiet_cycles.eq(Mux(self.quiet, quiet_cycles + (quiet_cycles != SETTLE_CYCLES), 0)),
            stopping_cycles.eq(Mux(self.stopping, stopping_cycles + (stopping_cycles != SETTLE_CYCLES), 0)),
            self.clear.eq(0),
        ]
        with m.If(self.running):
            with m.If(self.reset):
                m.d.sync += [self.stopping.eq(1), self.resetting.eq(1)]
            with m.Elif(drained | completed):
                m.d.sync += self.running.eq(0)
                with m.If(self.resetting):
                    m.d.sync += [self.resetting.eq(0), self.clear.eq(1)]
                with m.Elif(drained):
                    m.d.sync += self.failed.eq(1)
                with m.Else():
                    m.d.sync += self.done.eq(1)
            with m.Elif(~self.stopping & (faulty | (settled & waiting))):
                m.d.sync += self.stopping.eq(1)
        with m.Elif(self.reset | self.start):
            m.d.sync += [
                self.clear.eq(1),
                self.running.eq(~self.reset),
                self.stopping.eq(0),
                quiet_cycles.eq(0),
            ]
        with m.If(self.running & drained):  # what a soft reset follows is cleared with it
            m.d.sync += [self.error.eq(chosen.code), self.error_index.eq(chosen.index)]
        with m.If(self.clear):
            m.d.sync += [self.done.eq(0), self.failed.eq(0), self.error.eq(Error.NONE), self.error_index.eq(0)]
        return m

    def _choose(self, m: Module, deadlocked: Value) -> data.View:
        """The oldest instruction's fault in the cycle before stopping, SETTLE_CYCLES after its registers have it."""
        kept = [Signal(FAULT, name=f"kept_{unit}") for unit in range(UNITS)]
        decoder, chosen = Signal(FAULT), Signal(FAULT)
        with m.If(~self.stopping):
            m.d.sync += decoder.eq(self.decoder_fault)
            for fault, token, head, keep in zip(self.faults, self.token_faults, self.heads, kept, strict=True):
                m.d.sync += keep.eq(Mux(token.valid, token, Mux(deadlocked, head, fault)))
        # What is kept then stands still: of two the older one goes on to the next round; the decoder's is the youngest.
        first, last = (self._older(m, *kept[2 * k : 2 * k + 2], f"older_{k}") for k in range(2))
        oldest = self._older(m, first, last, "oldest")
        m.d.sync += chosen.eq(Mux(oldest.valid, oldest.as_value(), decoder.as_value()))
        return chosen

    def _older(self, m: Module, a: data.View, b: data.View, name: str) -> data.View:
        """The fault of the older one of two instructions, a cycle later; if there is just one fault, that one."""
        older, distance = Signal(FAULT, name=name), Signal(INDEX_BITS, name=f"{name}_distance")
        m.d.comb += distance.eq(b.index - a.index)  # of instructions that are close to each other
        m.d.sync += older.eq(Mux(~b.valid | (a.valid & ~distance[-1]), a.as_value(), b.as_value()))
        return older
