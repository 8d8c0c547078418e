"""Store unit: output scratchpad → external memory."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for, exact_log2

from emulator.bus import OUTSTANDING, WRITE_BEATS
from emulator.config import AcceleratorConfig
from emulator.instructions import Error, Opcode

from ..fields import fields_layout
from ..memory.block_ram import block_ram
from ..unit import INDEX_BITS, UnitPort
from .bursts import BurstWalk
from .overlaps import OverlapWalk, rotate_right


def counted(value: Value, more: Value, less: Value) -> Value:
    """A counter's next value: one more, one less, or, where both or none are, the same; one sum instead of two."""
    return value + Cat(more ^ less, (less & ~more).replicate(len(value) - 1))


class StoreUnit(wiring.Component):
    """One overlap of a row and a beat a cycle: with an aligned bus as wide as the row, a beat a cycle.

    Rows are read once their burst has been asked for, and go through the pipeline (read, turned to their bytes of the
    word, merged into the beat) into the write buffer, which has room for all that is under way. So every burst that is
    asked for gets its data, whatever happens. `finished` comes when the last response has: the data are in the memory.
    While an instruction waits for that, the next one is under way.

    Members
    -------
    port : the sequencer
    memory_base, memory_bytes : address and size of the memory region
    awaddr … bresp : AXI4 write channels
    output_read, output_address, output_data : output scratchpad; the row comes one cycle after its address
    outstanding : bursts without a response
    """

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        super().__init__(
            {
                "port": In(UnitPort()),
                "memory_base": In(32),
                "memory_bytes": In(32),
                "awaddr": Out(32),
                "awlen": Out(8),
                "awvalid": Out(1),
                "awready": In(1),
                "wdata": Out(8 * config.bus_bytes),
                "wstrb": Out(config.bus_bytes),
                "wlast": Out(1),
                "wvalid": Out(1),
                "wready": In(1),
                "bvalid": In(1),
                "bresp": In(2),
                "output_read": Out(1),
                "output_address": Out(bits_for(config.output_depth - 1)),
                "output_data": In(8 * config.columns),
                "outstanding": Out(range(OUTSTANDING + 1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, port = self.config, self.port
        fields = Signal(fields_layout(Opcode.LOAD))
        index = Signal(INDEX_BITS)
        active, start, seen, stopped = Signal(), Signal(), Signal(), Signal()
        # The instruction that waits for responses, and how many are to come.
        waiting, older = Signal(), Signal.like(self.outstanding)
        older_index, older_signals = Signal(INDEX_BITS), Signal(4)
        m.submodules.walk = walk = BurstWalk(config.bus_bytes)
        m.submodules.overlaps = overlaps = OverlapWalk(config.bus_bytes)
        refused, step, moves, finish = Signal(), Signal(), Signal(), Signal()
        full = Signal()  # OUTSTANDING bursts are under way
        m.d.comb += [
            refused.eq(self.bvalid & self.bresp.any()),
            walk.fields.eq(fields),
            walk.start.eq(start),
            walk.lanes.eq(config.columns),
            walk.depth.eq(config.output_depth),
            walk.memory_bytes.eq(self.memory_bytes),
            walk.base.eq(self.memory_base),
            walk.enable.eq(~full),
            walk.stop.eq(port.halt | refused),
            walk.accept.eq(self.awready),
            self.awvalid.eq(walk.valid),
            self.awaddr.eq(walk.address),
            self.awlen.eq(walk.length),
            overlaps.first.eq(fields),
            overlaps.first_lanes.eq(config.columns),
            overlaps.begins.eq(seen),
            overlaps.starts.eq(seen),
            overlaps.fields.eq(fields),
            overlaps.lanes.eq(config.columns),
            overlaps.step.eq(step | seen),
            self.output_read.eq(step),
            self.output_address.eq(overlaps.row),
        ]

        # Bursts asked for whose rows are not all read; beats in the buffer. A beat waits for no address (AXI4, A3.3.1).
        unread, reserved = (Signal(range(OUTSTANDING + 1)) for _ in range(2))
        sent = self.wvalid & self.wready
        # Whether there are rows to read, and room, in registers: much depends on `step`.
        has_rows, has_room = Signal(), Signal(init=1)
        m.d.comb += step.eq(has_rows & has_room)
        m.d.sync += [
            self.outstanding.eq(counted(self.outstanding, walk.asks, self.bvalid)),
            full.eq(~self.bvalid & (full | (walk.asks & (self.outstanding == OUTSTANDING - 1)))),
            unread.eq(counted(unread, walk.asks, step & overlaps.burst_ends)),
            reserved.eq(counted(reserved, step & overlaps.word_ends, sent)),
            has_rows.eq(walk.asks | (unread > 1) | (has_rows & ~(step & overlaps.burst_ends))),
            has_room.eq(sent | (has_room & ~(step & overlaps.word_ends & (reserved == WRITE_BEATS - 1)))),
        ]
        level = self._beats(m, step, overlaps, sent)
        m.d.comb += self.wvalid.eq(level != 0)

        taken = port.issued.valid & port.issued.ready
        m.d.comb += [
            moves.eq(active & ~start & ~walk.busy & (unread == 0) & ~stopped & ~waiting),
            finish.eq(waiting & (older == 0)),
            port.issued.ready.eq(~active & ~stopped),
            port.signals.eq(older_signals),
            port.finished_index.eq(older_index),
            port.busy.eq(active | waiting | (self.outstanding != 0) | port.finished),
            port.work.eq(step),
        ]
        m.d.sync += [
            start.eq(taken),
            seen.eq(start),
            port.finished.eq(finish),
            port.fault.eq((walk.fault | refused) & ~stopped),
            port.fault_code.eq(Mux(refused, Error.BUS, Error.ADDRESS)),
            port.fault_index.eq(Mux(refused & waiting & (older != 0), older_index, index)),
        ]
        with m.If(moves):
            m.d.sync += [waiting.eq(1), older.eq(self.outstanding - self.bvalid)]
            m.d.sync += [older_index.eq(index), older_signals.eq(fields.signal)]
        with m.Else():
            m.d.sync += older.eq(older - (self.bvalid & (older != 0)))
            with m.If(finish):
                m.d.sync += waiting.eq(0)
        with m.If(refused):
            m.d.sync += waiting.eq(0)
        with m.If(walk.fault | refused):
            m.d.sync += stopped.eq(1)
        with m.If(taken):
            m.d.sync += [active.eq(1), fields.eq(port.issued.payload.instruction), index.eq(port.issued.payload.index)]
        with m.Elif(moves | port.halt):
            m.d.sync += active.eq(0)
        with m.If(port.clear):
            m.d.sync += [register.eq(0) for register in (active, start, stopped, waiting, older)]
        return m

    def _beats(self, m, step, overlaps, sent):
        """Row → bytes by residue of their lane → turned → beat → buffer; returns the beats in the buffer."""
        columns, width = self.config.columns, self.config.bus_bytes
        word_bits = exact_log2(width)
        valid, ends, last = Signal(3), Signal(3), Signal(3)
        m.d.sync += [
            valid.eq(Cat(step, valid)),
            ends.eq(Cat(overlaps.word_ends, ends)),
            last.eq(Cat(overlaps.burst_ends, last)),
        ]
        stage = [
            {
                "rotation": Signal(word_bits, name=f"rotation_{k}", reset_less=True),
                "word_left": Signal(word_bits + 1, name=f"word_left_{k}", reset_less=True),
                "size": Signal(word_bits + 1, name=f"size_{k}", reset_less=True),
            }
            for k in range(2)
        ]
        lane = Signal.like(overlaps.lane, reset_less=True)
        with m.If(step):
            m.d.sync += [*(stage[0][name].eq(getattr(overlaps, name)) for name in stage[0]), lane.eq(overlaps.lane)]

        # An overlap has at most one lane of each residue modulo the bus's bytes.
        residues = Signal(8 * width, reset_less=True)
        with m.If(valid[0]):
            m.d.sync += [stage[1][name].eq(stage[0][name]) for name in stage[0]]
            for residue in range(min(width, columns)):
                group = [self.output_data.word_select(place, 8) for place in range(residue, columns, width)]
                chosen = lane[word_bits:] + (lane[:word_bits] > residue)
                m.d.sync += residues.word_select(residue, 8).eq(Array(group)[chosen] if len(group) > 1 else group[0])

        turned, brought = Signal(8 * width, reset_less=True), Signal(width, reset_less=True)
        first, end = Signal(word_bits + 1), Signal(word_bits + 1)
        m.d.comb += [first.eq(width - stage[1]["word_left"]), end.eq(first + stage[1]["size"])]
        with m.If(valid[1]):
            m.d.sync += [
                turned.eq(rotate_right(residues, stage[1]["rotation"])),
                brought.eq(Cat((place >= first) & (place < end) for place in range(width))),
            ]

        # The beat; bytes that the overlap does not bring keep what earlier overlaps brought.
        beat, strobes = Signal(8 * width), Signal(width)
        next_beat, next_strobes = Signal.like(beat), Signal.like(strobes)
        ending, complete = Signal(), Signal()
        m.d.comb += ending.eq(valid[2] & ends[2])
        m.d.sync += complete.eq(ending)
        for place in range(width):
            before, after = beat.word_select(place, 8), turned.word_select(place, 8)
            m.d.comb += [
                next_strobes[place].eq(brought[place] | (strobes[place] & ~complete)),
                next_beat.word_select(place, 8).eq(Mux(brought[place], after, before)),
            ]
        with m.If(valid[2]):
            m.d.sync += [beat.eq(next_beat), strobes.eq(next_strobes)]
        with m.Elif(complete):
            m.d.sync += strobes.eq(0)

        # Written a cycle before it counts, so that it can be read when it does.
        m.submodules.buffer = buffer = block_ram(9 * width + 1, WRITE_BEATS, always=True)
        write, read = buffer.write_port(), buffer.read_port()
        level, sends = Signal(range(WRITE_BEATS + 1)), Signal.like(read.addr)
        m.d.comb += [
            write.en.eq(ending),
            write.data.eq(Cat(next_beat, next_strobes, last[2])),
            read.en.eq(1),
            read.addr.eq(sends + sent),
            Cat(self.wdata, self.wstrb, self.wlast).eq(read.data),
        ]
        m.d.sync += [
            write.addr.eq(write.addr + ending),
            sends.eq(read.addr),
            level.eq(counted(level, complete, sent)),
        ]
        return level
