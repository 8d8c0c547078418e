"""Load unit: external memory → scratchpads, parameters and tables."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from emulator.config import AcceleratorConfig
from emulator.instructions import DEPTHWISE_WORDS, PARAMETER_ENTRIES, PARAMETER_PITCH, Error, Opcode, Target
from emulator.timing import LOAD_WRITE_DELAY

from ..fields import fields_layout
from ..unit import INDEX_BITS, UnitPort
from .bursts import DEPTH_BITS, LANE_BITS, BurstWalk
from .overlaps import OverlapWalk, rotate_left


def load_targets(config: AcceleratorConfig) -> list[Target]:
    """The memories that a LOAD can fill, in the order of their numbers."""
    return [target for target in Target if target != Target.DEPTHWISE or config.depthwise_taps]


class LoadUnit(wiring.Component):
    """One overlap of a beat and a row a cycle: with an aligned bus as wide as the row, a row a cycle.

    A beat's bytes are written `LOAD_WRITE_DELAY` cycles later: they are registered, rotated to their lanes, merged into
    the row; the row goes through one more register, which is the write port. Three instructions are under way: when the
    bursts of one have been asked for, the next one's are, while the beats of the first one still come; so the memory's
    latency is also hidden behind one of few beats.

    Members
    -------
    port : the sequencer
    memory_bytes : size of the memory region
    request, request_address, request_length : a burst waits: offset in the region, beats − 1; withdrawn at a halt
    grant : the burst is taken in this cycle
    rvalid, rready, rdata, rresp, rlast : beats of this unit's bursts
    write_…, write_address, write_data : a row is written; lane 0 in bits 0–7, what the pixel does not fill is 0
    """

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        super().__init__(
            {
                "port": In(UnitPort()),
                "memory_bytes": In(32),
                "request": Out(1),
                "request_address": Out(32),
                "request_length": Out(8),
                "grant": In(1),
                "rvalid": In(1),
                "rready": Out(1),
                "rdata": In(8 * config.bus_bytes),
                "rresp": In(2),
                "rlast": In(1),
                **{f"write_{target.name.lower()}": Out(1) for target in load_targets(config)},
                "write_address": Out(16),
                "write_data": Out(8 * max(config.rows, config.columns)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, port = self.config, self.port
        fields = Signal(fields_layout(Opcode.LOAD))  # of the instruction whose bursts are asked for
        index = Signal(INDEX_BITS)
        walking, start, stopped, dropping, halted = Signal(), Signal(), Signal(), Signal(), Signal()
        m.submodules.walk = walk = BurstWalk(config.bus_bytes)
        m.submodules.overlaps = overlaps = OverlapWalk(config.bus_bytes)
        lanes, depth = Signal(LANE_BITS), Signal(DEPTH_BITS)
        m.d.comb += lanes.eq(Mux(fields.target == Target.ACTIVATION, config.rows, config.columns))
        depths = {
            Target.ACTIVATION: config.activation_depth,
            Target.WEIGHT: config.weight_depth,
            Target.OPERAND: config.operand_depth,
            Target.PARAMETER: PARAMETER_ENTRIES * PARAMETER_PITCH,
            Target.TABLE: 1 << config.arithmetic.activation_bits,
            Target.DEPTHWISE: DEPTHWISE_WORDS * config.depthwise_pitch,
        }
        with m.Switch(fields.target):
            for target in load_targets(config):
                with m.Case(target):
                    m.d.comb += depth.eq(depths[target])

        # An instruction hands over to `following`, which waits for its beats, and then to `current`, whose beats come.
        pending, waiting, moving = Signal(), Signal(), Signal()
        # Registers, since much depends on them: `overlaps` has looked at `following` for a cycle; the first overlap of
        # `following` is stepped to, as nothing is moving; beats of `current` are taken.
        settled, starts, taking = Signal(), Signal(), Signal()
        moves, begins, enter = Signal(), Signal(), Signal()
        following, following_index, following_lanes = Signal.like(fields), Signal(INDEX_BITS), Signal(LANE_BITS)
        current, current_index, current_lanes = Signal.like(fields), Signal(INDEX_BITS), Signal(LANE_BITS)
        current_target, current_signals = Signal.like(fields.target), Signal.like(fields.signal)
        step, refused, over, ends = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            over.eq(port.halt | refused),
            walk.fields.eq(fields),
            walk.start.eq(start & ~stopped),
            walk.lanes.eq(lanes),
            walk.depth.eq(depth),
            walk.memory_bytes.eq(self.memory_bytes),
            walk.enable.eq(1),
            walk.stop.eq(over),
            walk.accept.eq(self.grant | over),
            self.request.eq(walk.valid),
            self.request_address.eq(walk.address),
            self.request_length.eq(walk.length),
            overlaps.first.eq(following),
            overlaps.first_lanes.eq(following_lanes),
            overlaps.begins.eq(begins),
            overlaps.starts.eq(starts),
            overlaps.fields.eq(current),
            overlaps.lanes.eq(current_lanes),
            overlaps.step.eq(step | starts),
            refused.eq(self.rvalid & self.rresp.any() & taking),
            step.eq(self.rvalid & ~self.rresp.any() & taking),
            self.rready.eq((overlaps.word_ends & moving) | dropping),
            ends.eq(step & overlaps.last),
            moves.eq(pending & ~waiting),
            begins.eq(settled & (~moving | overlaps.last_pixel)),
            enter.eq(starts | (settled & ends)),
        ]
        m.d.sync += [settled.eq(waiting & ~enter), starts.eq(waiting & ~settled & (~moving | ends))]
        with m.If(moves):
            m.d.sync += [following.eq(fields), following_index.eq(index), following_lanes.eq(lanes), waiting.eq(1)]
        # What only further pixels take may change before the last one ends.
        with m.If(begins):
            m.d.sync += current.eq(following)
        with m.If(enter):
            m.d.sync += [
                current_target.eq(following.target),
                current_lanes.eq(following_lanes),
                current_index.eq(following_index),
                current_signals.eq(following.signal),
                waiting.eq(0),
                moving.eq(1),
                taking.eq(1),
            ]
        with m.Elif(ends):
            m.d.sync += [moving.eq(0), taking.eq(0)]
        with m.Elif(refused):
            m.d.sync += taking.eq(0)
        ended, in_flight = self._rows(m, step, overlaps, current_target)
        # Whose last beat is on its way to its row.
        ending = Signal(LOAD_WRITE_DELAY * (INDEX_BITS + 4), reset_less=True)
        m.d.sync += ending.eq(Cat(current_index, current_signals, ending))

        owed = Signal(range(17))  # bursts whose last beat is to come
        m.d.sync += owed.eq(owed + (self.request & self.grant) - (self.rvalid & self.rready & self.rlast))
        taken = port.issued.valid & port.issued.ready
        busy = (walking | pending | waiting | moving) & ~halted
        m.d.comb += [
            port.issued.ready.eq(~walking & ~pending & ~stopped),
            Cat(port.finished_index, port.signals).eq(ending[-INDEX_BITS - 4 :]),
            port.busy.eq(busy | (owed != 0) | in_flight | port.finished),
            port.work.eq(step),
        ]
        m.d.sync += [
            start.eq(taken),
            halted.eq(port.halt),
            port.finished.eq(ended),
            port.fault.eq((walk.fault | refused) & ~stopped),
            port.fault_code.eq(Mux(refused, Error.BUS, Error.ADDRESS)),
            port.fault_index.eq(Mux(refused, current_index, index)),
        ]
        with m.If(walk.fault | refused):
            m.d.sync += stopped.eq(1)
        with m.If(refused):
            m.d.sync += dropping.eq(1)
        with m.If(taken):
            m.d.sync += [walking.eq(1), pending.eq(1)]
            m.d.sync += [fields.eq(port.issued.payload.instruction), index.eq(port.issued.payload.index)]
        with m.Else():
            with m.If(~start & ~walk.busy):
                m.d.sync += walking.eq(0)
            with m.If(moves):
                m.d.sync += pending.eq(0)
        with m.If(port.clear):
            flags = walking, pending, waiting, settled, starts, moving, taking, start, stopped, dropping
            m.d.sync += [flag.eq(0) for flag in flags]
        return m

    def _rows(self, m, step, overlaps, target):
        """Beat → register → rotated → row, which is written; returns (the transfer ends, bytes are under way)."""
        width = self.config.bus_bytes
        word_bits, count = exact_log2(width), len(self.write_data) // 8

        # The beat.
        valid, ends, last = Signal(3), Signal(2), Signal(2)
        beat, rotation = Signal(8 * width, reset_less=True), Signal(word_bits, reset_less=True)
        lane, size, row = Signal(LANE_BITS), Signal(word_bits + 1), Signal(len(self.write_address))
        m.d.sync += [
            valid.eq(Cat(step, valid)),
            ends.eq(Cat(overlaps.row_ends, ends)),
            last.eq(Cat(overlaps.last, last)),
            beat.eq(self.rdata),
            rotation.eq(overlaps.rotation),
            lane.eq(overlaps.lane),
            size.eq(overlaps.size),
            row.eq(overlaps.row),
        ]

        # Rotated.
        rotated = Signal(8 * width, reset_less=True)
        first_lane, end_lane, rotated_row = Signal(LANE_BITS), Signal(LANE_BITS), Signal.like(row)
        m.d.sync += [
            rotated.eq(rotate_left(beat, rotation)),
            first_lane.eq(lane),
            end_lane.eq(lane + size),
            rotated_row.eq(row),
        ]

        # The row. Lanes before the overlap keep what the overlaps before it brought; those behind it wait, or stay 0.
        targets = load_targets(self.config)
        complete, written, ended = Signal(), Signal(len(targets)), Signal()
        kept = Signal(2 * len(target))
        m.d.sync += kept.eq(Cat(target, kept))
        address, data = Signal.like(self.write_address), Signal.like(self.write_data, reset_less=True)
        m.d.comb += complete.eq(valid[1] & ends[1])
        with m.If(valid[1]):
            m.d.sync += address.eq(rotated_row)
            for place in range(count):
                byte = data.word_select(place, 8)
                with m.If(place >= end_lane):
                    m.d.sync += byte.eq(0)
                with m.Elif(place >= first_lane):
                    m.d.sync += byte.eq(rotated.word_select(place % width, 8))
        # One more register on the way to scratchpads that lie all over the chip.
        m.d.sync += [self.write_address.eq(address), self.write_data.eq(data), ended.eq(complete & last[1])]
        for wanted in targets:
            m.d.sync += [
                written[wanted].eq(complete & (kept[len(target) :] == wanted)),
                getattr(self, f"write_{wanted.name.lower()}").eq(written[wanted]),
            ]
        return ended, valid.any()
