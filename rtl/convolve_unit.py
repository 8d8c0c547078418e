"""Convolve unit: executes CONVOLVE: loads weight tiles and streams output positions through the array."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from emulator.config import AcceleratorConfig
from emulator.instructions import ADDRESS_BITS, Opcode
from emulator.timing import PREPARE_CYCLES, convolve_drain_cycles, sum_read_delay, sum_round_trip, sum_write_delay

from .control import row_control
from .fields import fields_layout
from .window import Window


class ConvolveUnit(wiring.Component):
    """Two processes side by side: the loader puts the next weight tile into the elements' shadow while the streamer
    issues one output position per cycle with the current one.

    A position whose sum is still on its way through the array waits for it (the interlock): the accumulator rows issued
    last are compared with the next one.

    Members
    -------
    instruction : the fields of CONVOLVE, constant from `start` on
    start, done, fault : begin; the last cycle of the execution; with `done`: stopped at an address outside a memory
    row : control of activation lane 0
    weight_address, sum_address, carry, sum_write, sum_write_address : control of column lane 0
    """

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        accumulator = bits_for(config.accumulator_depth - 1)
        super().__init__(
            {
                "instruction": In(fields_layout(Opcode.CONVOLVE)),
                "start": In(1),
                "done": Out(1),
                "fault": Out(1),
                "row": Out(row_control(config)),
                "weight_address": Out(bits_for(config.weight_depth - 1)),
                "sum_address": Out(accumulator),
                "carry": Out(1),
                "sum_write": Out(1),
                "sum_write_address": Out(accumulator),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, instruction = self.config, self.instruction
        m.submodules.window = window = Window()
        m.d.comb += [
            window.base.eq(instruction.input_row),
            window.pixel_rows.eq(instruction.pixel_rows),
            window.start.eq(self.start),
        ]
        m.d.comb += [getattr(window, name).eq(instruction[name]) for name in window.geometry]

        running = Signal()
        begins, weight_fault = self._loader(m, running)

        # Streamer.
        fresh, ready, first_tile = Signal(init=1), Signal(), Signal(init=1)
        channel = Signal(12)
        accumulator = Signal(17)
        address = Signal(ADDRESS_BITS)
        carry, hazard, attempt, outside, issue, last_tile = (
            Signal(name=name) for name in ("carry_now", "hazard", "attempt", "outside", "issue", "last_tile")
        )
        on_their_way = data.ArrayLayout(data.StructLayout({"valid": 1, "carry": 1, "row": 17}), sum_write_delay(config))
        issued = Signal(on_their_way)
        m.d.comb += [
            carry.eq(~first_tile | instruction.carry),
            address.eq(window.address + channel),
            hazard.eq(
                carry
                & Cat(issued[i].valid & (issued[i].row == accumulator) for i in range(sum_round_trip(config) - 1)).any()
            ),
            attempt.eq(running & (~fresh | ready) & ~hazard),
            outside.eq(
                (accumulator >= config.accumulator_depth) | (window.valid & (address >= config.activation_depth))
            ),
            issue.eq(attempt & ~outside & ~weight_fault),
            last_tile.eq(window.last_kernel & (channel == instruction.channel_rows - 1)),
            self._tile_starts.eq(attempt & ~outside & fresh),
            self._tile_is_last.eq(last_tile),
            window.next_position.eq(issue),
            window.next_kernel.eq(issue & window.last_position & (channel == instruction.channel_rows - 1)),
        ]
        with m.If(begins):
            m.d.sync += ready.eq(1)
        with m.Elif(issue & fresh):
            m.d.sync += ready.eq(0)
        with m.If(issue):
            m.d.sync += [fresh.eq(window.last_position), accumulator.eq(accumulator + 1)]
            with m.If(window.last_position):
                m.d.sync += [
                    accumulator.eq(instruction.accumulator_row),
                    first_tile.eq(0),
                    channel.eq(Mux(channel == instruction.channel_rows - 1, 0, channel + 1)),
                ]
        m.d.sync += issued.eq(Cat(issue, carry, accumulator, issued))
        m.d.sync += [
            self.row.address.eq(address),
            self.row.valid.eq(window.valid),
            self.row.swap.eq(issue & fresh),
        ]
        read, write = issued[sum_read_delay() - 1], issued[sum_write_delay(config) - 1]
        m.d.comb += [
            self.sum_address.eq(read.row),
            self.carry.eq(read.carry),
            self.sum_write.eq(write.valid),
            self.sum_write_address.eq(write.row),
        ]

        prepare = Signal(range(PREPARE_CYCLES))
        drain = Signal(range(convolve_drain_cycles(config)))
        with m.FSM():
            with m.State("IDLE"):
                with m.If(self.start):
                    m.d.sync += [
                        self.fault.eq(0),
                        prepare.eq(PREPARE_CYCLES - 2),
                        accumulator.eq(instruction.accumulator_row),
                        self._weight_row.eq(instruction.weight_row),
                        self._wanted.eq(1),
                        channel.eq(0),
                        fresh.eq(1),
                        first_tile.eq(1),
                        ready.eq(0),
                    ]
                    m.next = "PREPARE"
            with m.State("PREPARE"):
                m.d.sync += prepare.eq(prepare - 1)
                with m.If(prepare == 0):
                    m.next = "RUN"
            with m.State("RUN"):
                m.d.comb += running.eq(1)
                m.d.sync += drain.eq(convolve_drain_cycles(config) - 1)
                with m.If(weight_fault | (attempt & outside)):
                    m.d.sync += self.fault.eq(1)
                    m.next = "DRAIN"
                with m.Elif(issue & window.last_position & last_tile):
                    m.next = "DRAIN"
            with m.State("DRAIN"):
                m.d.sync += drain.eq(drain - 1)
                with m.If(drain == 0):
                    m.d.comb += self.done.eq(1)
                    m.next = "IDLE"
        return m

    def _loader(self, m: Module, running: Value) -> tuple[Value, Value]:
        """Load a tile when one is wanted and the shadow is free; returns (a tile begins, one of its rows lies outside).

        A tile is checked as a whole when its loading begins, and loaded to its end, also after the last position: the
        wavefront needs its lower rows later.
        """
        config = self.config
        self._tile_starts, self._tile_is_last = Signal(name="tile_starts"), Signal(name="tile_is_last")
        self._wanted = wanted = Signal(name="wanted")
        self._weight_row = weight_row = Signal(17, name="weight_row")
        loading = Signal()
        row = Signal(range(max(config.rows, 2)))
        want, begins, step, fault = (Signal(name=name) for name in ("want", "begins", "load_step", "weight_fault"))
        m.d.comb += [
            want.eq(wanted | (self._tile_starts & ~self._tile_is_last)),
            begins.eq(running & want & ~loading),
            step.eq(begins | loading),
            fault.eq(begins & (weight_row > config.weight_depth - config.rows)),
        ]
        with m.If(running):
            m.d.sync += wanted.eq(want & ~begins)
        with m.If(begins):
            m.d.sync += [loading.eq(config.rows > 1), row.eq(1)]
        with m.Elif(loading):
            m.d.sync += [loading.eq(row != config.rows - 1), row.eq(row + 1)]
        with m.If(step):
            m.d.sync += weight_row.eq(weight_row + 1)
        m.d.sync += [self.weight_address.eq(weight_row), self.row.load.eq(begins)]
        return begins, fault
