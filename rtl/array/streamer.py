"""Streamer: gives each output position of each weight tile its turn, one per cycle."""

from itertools import pairwise

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from emulator.config import AcceleratorConfig
from emulator.instructions import Opcode
from emulator.timing import WINDOW_LATENCY, sum_round_trip

from ..control import position_tag
from ..fields import fields_layout
from ..unit import INDEX_BITS
from ..window_setup import WINDOW_STEPS
from .window import Window


class Streamer(wiring.Component):
    """Tiles in the order of kernel row, kernel column, channel row and column block; in each of them the positions line
    by line. A block has accumulator rows and a parameter entry of its own, behind those of the block before.

    A position gets its turn and is issued `WINDOW_LATENCY` cycles later, with its address checked. A tile's first
    position waits for the tile's weights and until the sums that the tile carries on are written: the sum of position p
    is read `sum_round_trip` cycles after it was last issued, or later. With one block that was in the tile before, with
    several in the one before that, or earlier. An instruction that carries on sums in other places than the one before
    it, or of which one has several blocks, waits for all that is on its way.

    Members
    -------
    offered, taken : an instruction is prepared; the streamer takes it in this cycle
    instruction, index, steps : the prepared instruction
    will_be_loaded : the next tile's weights are there in time for a turn in the next cycle, if none starts in this one
    started : a tile gets its turn
    stop, clear : issue nothing more, from this cycle on; back to idle
    issue, tag, inside, address : a position, its operand row unless it is padding
    fault, issue_index : the position would be issued but for an address outside a memory; its instruction
    busy : positions are to come
    """

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        super().__init__(
            {
                "offered": In(1),
                "taken": Out(1),
                "instruction": In(fields_layout(Opcode.CONVOLVE)),
                "index": In(INDEX_BITS),
                "steps": In(WINDOW_STEPS),
                "will_be_loaded": In(1),
                "started": Out(1),
                "stop": In(1),
                "clear": In(1),
                "issue": Out(1),
                "tag": Out(position_tag(config)),
                "inside": Out(1),
                "address": Out(20),
                "fault": Out(1),
                "issue_index": Out(INDEX_BITS),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, prepared = self.config, self.instruction
        m.submodules.window = window = Window(config.activation_depth)
        m.d.comb += [getattr(window, name).eq(prepared[name]) for name in (*window.geometry, "channel_rows")]
        m.d.comb += [window.steps.eq(self.steps)]

        # The position whose turn is next: what its turn depends on, and, a cycle later, what only goes along with it.
        waiting = Signal()
        layout = data.StructLayout(
            {
                name: shape
                for name, shape in position_tag(config).members.items()
                if name not in ("swap", "carry", "final")
            }
        )
        tag = Signal(layout, reset_less=True)
        swap, carry = Signal(reset_less=True), Signal(reset_less=True)
        first_row, first_parameters = Signal(16, reset_less=True), Signal(4, reset_less=True)
        blocks, blocks_left = Signal(4), Signal(4, reset_less=True)
        several, last_block = Signal(), Signal()  # what `blocks` and `blocks_left` are compared with 0
        elsewhere = Signal()  # the first tile carries on sums of other tiles than the last one
        # Much depends on these in the same cycle. Where no instruction is waiting, the next one begins in every cycle,
        # whether or not one is offered, and in the last of them it is. In an instruction's last tile, what is only
        # used at the end of the tiles before may be the next instruction's.
        permitted, tile_ends, begins = Signal(reset_less=True), Signal(), Signal()
        follows = Signal(init=1)  # this is the last tile, or no instruction is waiting
        turn, last = Signal(), Signal()
        most = C(sum_round_trip(self.config) - 1)
        start_ends, start_over, start_left = self._wait(m, "start", self.started, most)
        before_ends, _, _ = self._wait(m, "before", self.started, Mux(start_over, 0, start_left - 1))
        turn_ends, _, _ = self._wait(m, "turn", turn, most)
        m.d.comb += [
            turn.eq(waiting & permitted),
            last.eq(window.last_position & follows),
            tile_ends.eq(~waiting | (permitted & window.last_position)),
            begins.eq(tile_ends & follows),
            window.begin.eq(~waiting | last),
            window.follows.eq(follows),
            window.next_position.eq(turn),
            window.next_kernel.eq(tile_ends & (follows | last_block)),
            window.moves.eq(~waiting | permitted),
            self.taken.eq(self.offered & begins),
            self.started.eq(turn & swap),
        ]
        turned, ended, block_was_last, took = (Signal(name=name) for name in ("turned", "ended", "was_last", "took"))
        m.d.sync += [
            turned.eq(turn),
            ended.eq(window.last_position),
            block_was_last.eq(last_block),
            took.eq(self.taken),
        ]
        # The prepared instruction lies here for long before it is taken, and the one before it was taken long ago.
        further_blocks, one_tile, other_places, begins_elsewhere = Signal(), Signal(), Signal(), Signal()
        m.d.sync += [
            further_blocks.eq(prepared.further_blocks != 0),
            other_places.eq(prepared.carry & (prepared.accumulator_row != first_row)),
        ]
        m.d.comb += one_tile.eq(window.one_kernel & ~further_blocks)
        m.d.comb += begins_elsewhere.eq(other_places | (prepared.carry & (further_blocks | several)))
        with m.If(window.moves):
            m.d.sync += swap.eq(~waiting | window.last_position)
        with m.If(follows):
            m.d.sync += blocks.eq(prepared.further_blocks)
        with m.If(tile_ends):
            with m.If(follows):
                m.d.sync += [
                    carry.eq(prepared.carry),
                    blocks_left.eq(prepared.further_blocks),
                    last_block.eq(~further_blocks),
                    follows.eq(one_tile | ~self.offered),
                    elsewhere.eq(begins_elsewhere),
                ]
            with m.Else():
                m.d.sync += [
                    carry.eq(carry | last_block),
                    blocks_left.eq(Mux(last_block, blocks, blocks_left - 1)),
                    last_block.eq(Mux(last_block, ~several, blocks_left == 1)),
                    follows.eq(
                        Mux(last_block, ~several & window.last_kernel_next, (blocks_left == 1) & window.last_kernel)
                    ),
                    elsewhere.eq(0),
                ]
        with m.If(self.taken):
            m.d.sync += several.eq(further_blocks)
        m.d.sync += waiting.eq(~begins | self.offered)
        with m.If(self.stop | self.clear):
            m.d.sync += [waiting.eq(0), follows.eq(1)]

        # Whether the position whose turn is next in the next cycle gets it then, if an instruction is waiting then.
        next_one, carries, waits = Signal(), Signal(), Signal()
        m.d.comb += [
            next_one.eq(~waiting | (permitted & follows)),  # within a tile, `permitted` depends on nothing
            carries.eq(
                Mux(
                    next_one,
                    prepared.carry & ~Mux(further_blocks, before_ends, start_ends),
                    (carry | (permitted & last_block)) & ~Mux(several, before_ends, start_ends),
                )
            ),
            waits.eq(Mux(next_one, begins_elsewhere, elsewhere & ~permitted) & ~(turn_ends & ~turn)),
        ]
        m.d.sync += permitted.eq(
            Mux(turn & ~window.last_position, 1, self.will_be_loaded & ~self.started & ~carries & ~waits)
        )

        with m.If(turned):
            m.d.sync += tag.row.eq(tag.row + 1)
            with m.If(ended):
                m.d.sync += tag.parameters.eq(tag.parameters + 1)
                with m.If(block_was_last):
                    m.d.sync += [tag.row.eq(first_row), tag.parameters.eq(first_parameters)]
        with m.If(took):
            m.d.sync += [
                tag.row.eq(prepared.accumulator_row),
                tag.parameters.eq(prepared.parameters),
                tag.zero_point.eq(prepared.zero_point),
                tag.signals.eq(prepared.signal),
                tag.index.eq(self.index),
                first_row.eq(prepared.accumulator_row),
                first_parameters.eq(prepared.parameters),
            ]

        # On their way to the issue.
        valid, final, swaps, carried = (
            Signal(WINDOW_LATENCY, name=f"{name}_on_their_way") for name in ("valid", "final", "swap", "carry")
        )
        tags = [Signal.like(tag, name=f"tag_{n}") for n in range(1, WINDOW_LATENCY)]
        m.d.sync += [
            valid.eq(Cat(turn, valid)),
            final.eq(Cat(last, final)),
            swaps.eq(Cat(swap, swaps)),
            carried.eq(Cat(carry, carried)),
            *(after.eq(before) for before, after in pairwise([tag, *tags])),
        ]
        beyond, on_way = Signal(), Signal()  # the latter: `valid` is not 0
        m.d.sync += beyond.eq(tags[-2].row >= config.accumulator_depth)
        m.d.sync += on_way.eq(turn | valid[:-1].any())
        with m.If(self.stop | self.clear):
            m.d.sync += [valid.eq(0), on_way.eq(0)]
        bad, possible = Signal(), Signal()
        m.d.comb += [
            bad.eq(window.outside | beyond),
            possible.eq(valid[-1] & ~self.stop),
            self.issue.eq(possible & ~bad),
            self.fault.eq(possible & bad),
            self.tag.swap.eq(swaps[-1]),
            self.tag.carry.eq(carried[-1]),
            self.tag.final.eq(final[-1]),
            *(self.tag[name].eq(tags[-1][name]) for name in layout.members),
            self.issue_index.eq(tags[-1].index),
            self.inside.eq(window.valid),
            self.address.eq(window.address),
            self.busy.eq(waiting | on_way),
        ]
        return m

    def _wait(self, m: Module, name: str, event: Value, cycles: Value) -> tuple[Value, Signal, Signal]:
        """(whether the last event lies more than `cycles` (of then) back in the next cycle, unless there is one in this
        cycle; registers: whether it does; how many cycles are left until it does)."""
        most = sum_round_trip(self.config) - 1
        left, over = Signal(range(most + 1), name=f"{name}_left"), Signal(init=1, name=f"{name}_over")
        m.d.sync += [left.eq(Mux(event, cycles, left - ~over)), over.eq(Mux(event, cycles == 0, left <= 1))]
        with m.If(self.clear):
            m.d.sync += [left.eq(0), over.eq(1)]
        return left <= 1, over, left
