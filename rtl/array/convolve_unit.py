"""Convolve unit: executes CONVOLVE, one instruction after the other without a gap between them."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from emulator.config import AcceleratorConfig
from emulator.instructions import Error, Opcode
from emulator.timing import group_weight_delay, sum_read_delay, sum_write_delay

from ..control import accumulate_control
from ..fields import fields_layout
from ..unit import INDEX_BITS, UnitPort
from ..window_setup import WINDOW_FIELDS, WindowSetup
from .group_engine import GroupEngine
from .group_streamer import GroupStreamer
from .streamer import Streamer
from .weight_loader import WeightLoader

IN_FLIGHT = 16
"""Instructions whose last position is on its way at once, at most: `sum_write_delay` over the setup's cycles."""


class ConvolveUnit(wiring.Component):
    """While one instruction is executed, the next one is prepared, and begins without a gap where it can.

    Weight stationary: a weight loader, which is a tile ahead, and a streamer. Output stationary: an engine that moves
    the sums of groups of positions, and the streamer of their operands.

    Members
    -------
    port : `UnitPort`; `work` where a position is issued
    positions : the same, for the counter of multiplications
    activation_address : operand row to read, in a position's cycle of issue
    inside, zero_point : with it; 0: the position is padding
    first : with the issue of a tile's (weight stationary) or group's (output stationary) first position
    read_weight, weight_address : read a weight row
    weight_entry : with it: where weights may have zero points, their parameter entry
    load : weight stationary: it is a tile's first
    tile_start : output stationary: the issue is that of a tile's first place
    accumulate : control of accumulator lane 0
    bank_reads : accumulator banks that lane 0 will read for a carried sum in the next cycle
    """

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        self.stationary_weights = config.dataflow == "weight_stationary"
        super().__init__(
            {
                "port": In(UnitPort()),
                "positions": Out(1),
                "activation_address": Out(bits_for(config.activation_depth - 1)),
                "inside": Out(1),
                "zero_point": Out(signed(config.arithmetic.activation_bits)),
                "first": Out(1),
                "read_weight": Out(1),
                "weight_address": Out(bits_for(config.weight_depth - 1)),
                "load" if self.stationary_weights else "tile_start": Out(1),
                "accumulate": Out(accumulate_control(config)),
                "bank_reads": Out(2),
                **({"weight_entry": Out(4)} if config.weight_zero_points else {}),
            }
        )

    def elaborate(self, platform):
        m = Module()
        port = self.port
        m.submodules.setup = setup = WindowSetup()
        held, begins, stopped = (Signal(name=name) for name in ("held", "begins", "stopped"))
        instruction = Signal(fields_layout(Opcode.CONVOLVE), reset_less=True)
        index = Signal(INDEX_BITS, reset_less=True)
        take, room = Signal(), Signal(init=1)  # the latter: neither `held` nor `stopped`
        m.d.comb += [
            port.issued.ready.eq(room),
            take.eq(port.issued.valid & port.issued.ready),
            setup.start.eq(begins),
            setup.base.eq(instruction.input_row),
        ]
        m.d.comb += [
            getattr(setup, name).eq(instruction[name]) for name in (*WINDOW_FIELDS, "channel_rows", "pixel_rows")
        ]
        if self.stationary_weights:
            walker, ahead, busy = self._weight_stationary(m, instruction)
        else:
            walker, ahead, busy = self._output_stationary(m, instruction)
        m.d.comb += [walker.steps.eq(setup.steps)]
        if self.stationary_weights:
            m.d.comb += ahead.tiles.eq(setup.tiles)
        else:
            m.d.comb += ahead.positions.eq(setup.positions)

        # The next instruction makes room when both of its users have taken it.
        done = []
        for user, name in ((walker, "walker_has"), (ahead, "ahead_has")):
            has, taken = Signal(name=name), Signal(name=f"{name}_now")
            m.d.comb += [taken.eq(has | user.taken), user.stop.eq(stopped), user.clear.eq(port.clear)]
            m.d.comb += [user.index.eq(index)]
            if "offered" in user.signature.members:
                m.d.sync += user.offered.eq(held & setup.will_be_ready & ~taken & ~stopped & ~port.clear)
            done.append((has, taken))
        m.d.sync += begins.eq(take)
        both = done[0][1] & done[1][1]
        for has, taken in done:
            m.d.sync += has.eq(taken & ~both & ~stopped & ~port.clear)
        with m.If(take):
            payload = port.issued.payload
            m.d.sync += [instruction.eq(payload.instruction), index.eq(payload.index)]
        leaves, stops = both | stopped | port.clear, walker.fault | ahead.fault | port.halt
        m.d.sync += [
            held.eq(Mux(held, ~leaves, take)),
            room.eq(Mux(held, leaves, ~take) & (port.clear | ~(stopped | stops))),
        ]
        m.d.comb += port.busy.eq(held | busy)

        # Of two faults the one of the earlier instruction counts; what looks ahead is never behind.
        m.d.sync += port.fault.eq(walker.fault | ahead.fault)
        m.d.comb += port.fault_code.eq(Error.ADDRESS)
        with m.If(stops):
            m.d.sync += stopped.eq(1)
        with m.If(walker.fault | ahead.fault):
            m.d.sync += port.fault_index.eq(Mux(walker.fault, walker.issue_index, ahead.fault_index))
        with m.If(port.clear):
            m.d.sync += stopped.eq(0)
        m.d.comb += port.work.eq(self.positions)
        return m

    def _weight_stationary(self, m: Module, instruction: Value) -> tuple[Streamer, WeightLoader, Value]:
        """The streamer, the loader and whether a position is to come or on its way."""
        m.submodules.loader = loader = WeightLoader(self.config)
        m.submodules.streamer = streamer = Streamer(self.config)
        first = streamer.issue & streamer.tag.swap
        m.d.comb += [
            loader.weight_row.eq(instruction.weight_row),
            loader.further_blocks.eq(instruction.further_blocks),
            loader.started.eq(streamer.started),
            loader.freed.eq(first),
            streamer.instruction.eq(instruction),
            streamer.will_be_loaded.eq(loader.will_be_loaded),
            self.activation_address.eq(streamer.address),
            self.inside.eq(streamer.inside),
            self.zero_point.eq(streamer.tag.zero_point),
            self.first.eq(first),
            self.read_weight.eq(loader.read),
            self.weight_address.eq(loader.address),
            self.load.eq(loader.first),
            self.positions.eq(streamer.issue),
        ]
        if self.config.weight_zero_points:
            m.d.comb += [loader.parameters.eq(instruction.parameters), self.weight_entry.eq(loader.entry)]
        return streamer, loader, streamer.busy | self._sums(m, streamer.issue, streamer.tag)

    def _output_stationary(self, m: Module, instruction: Value) -> tuple[GroupStreamer, GroupEngine, Value]:
        """The streamer, the engine and whether a position is to come or on its way."""
        m.submodules.engine = engine = GroupEngine(self.config)
        m.submodules.streamer = streamer = GroupStreamer(self.config)
        delay = group_weight_delay(self.config)
        reads, bits = Signal(delay), len(self.weight_address)
        addresses = Signal(delay * bits, reset_less=True)
        m.d.sync += [reads.eq(Cat(streamer.issue, reads)), addresses.eq(Cat(streamer.weight_address, addresses))]
        m.d.comb += [
            engine.instruction.eq(instruction),
            engine.due.eq(streamer.due),
            engine.committed.eq(streamer.group_start),
            streamer.instruction.eq(instruction),
            streamer.event.eq(engine.event),
            streamer.fresh.eq(engine.fresh),
            streamer.count.eq(engine.count),
            self.activation_address.eq(streamer.address),
            self.inside.eq(streamer.inside),
            self.zero_point.eq(streamer.zero_point),
            self.first.eq(engine.first),
            self.tile_start.eq(streamer.tile_start),
            self.read_weight.eq(reads[-1]),
            self.weight_address.eq(addresses[-bits:]),
            self.positions.eq(streamer.position),
            self.accumulate.eq(engine.accumulate),
            self.bank_reads.eq(engine.bank_reads),
            self.port.finished.eq(engine.finished),
            self.port.signals.eq(engine.signals),
            self.port.finished_index.eq(engine.finished_index),
        ]
        if self.config.weight_zero_points:
            entries = Signal(delay * 4, reset_less=True)
            m.d.sync += entries.eq(Cat(streamer.weight_entry, entries))
            m.d.comb += self.weight_entry.eq(entries[-4:])
        return streamer, engine, streamer.busy | engine.busy

    def _sums(self, m: Module, issue: Value, tag: Value) -> Value:
        """Control of the accumulator lanes, and the end of instructions; returns whether a position is on its way."""
        config, port = self.config, self.port
        read, write = sum_read_delay(config), sum_write_delay(config)
        row_bits = len(self.accumulate.read_address)
        valid, final = Signal(write), Signal(write)
        carry, parameters = Signal(read), Signal(4 * read, reset_less=True)
        row = Signal(row_bits * write, reset_less=True)
        m.d.sync += [
            valid.eq(Cat(issue, valid)),
            final.eq(Cat(issue & tag.final, final)),
            carry.eq(Cat(issue & tag.carry, carry)),
            parameters.eq(Cat(tag.parameters, parameters)),
            row.eq(Cat(tag.row[:row_bits], row)),
        ]
        before = Cat(issue & tag.carry, carry)[read - 2]
        odd = Cat(tag.row[:row_bits], row).word_select(read - 2, row_bits)[0]
        m.d.sync += self.bank_reads.eq(Cat(before & ~odd, before & odd))
        on_way = Signal()  # `valid` is not 0
        m.d.sync += on_way.eq(issue | valid[:-1].any())
        m.d.comb += [
            self.accumulate.carry.eq(carry[-1]),
            self.accumulate.parameters.eq(parameters[-4:]),
            self.accumulate.read_address.eq(row.word_select(read - 1, row_bits)),
            self.accumulate.write.eq(valid[-1]),
            self.accumulate.write_address.eq(row[-row_bits:]),
        ]
        # Whose last position is on its way: index and signals, in order.
        m.submodules.ends = ends = Memory(shape=INDEX_BITS + 4, depth=IN_FLIGHT, init=[])
        put, get = ends.write_port(), ends.read_port(domain="comb")
        m.d.comb += [
            put.en.eq(issue & tag.final),
            put.data.eq(Cat(tag.index, tag.signals)),
            port.finished.eq(final[-1]),
            Cat(port.finished_index, port.signals).eq(get.data),
        ]
        m.d.sync += [put.addr.eq(put.addr + put.en), get.addr.eq(get.addr + final[-1])]
        return on_way
