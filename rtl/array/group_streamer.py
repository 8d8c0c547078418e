"""Group streamer: gives the positions of a group their turns, weight tile after weight tile (output stationary)."""

from itertools import pairwise

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from emulator.config import AcceleratorConfig
from emulator.instructions import Opcode
from emulator.timing import WINDOW_LATENCY, group_due, group_lead

from ..fields import fields_layout
from ..unit import INDEX_BITS
from ..window_setup import WINDOW_STEPS
from .window import Window


class GroupStreamer(wiring.Component):
    """A group is `rows` output positions in a row, the last one of an instruction may be smaller; a tile of it takes as
    many cycles in any case. Its first turn comes `group_lead` cycles after its event.

    Members
    -------
    event, fresh, count : a group is to come; it is its instruction's first; its positions
    taken : the prepared instruction is not needed any more
    instruction, index, steps : the prepared instruction
    due : for one cycle, combinational: the next event has to come in the next cycle
    stop, clear : issue nothing more; back to idle
    issue, position, inside, address : a place's turn; it holds a position; that is no padding; its operand row
    tile_start, group_start : the place is a tile's, a group's first
    zero_point : of the operand
    weight_address : row of the weights that belong to the place's number
    weight_entry : where weights may have zero points, their parameter entry
    fault, issue_index : the place would be issued but for an address outside a memory; its instruction
    busy : turns are to come
    """

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        super().__init__(
            {
                "event": In(1),
                "fresh": In(1),
                "count": In(range(config.rows + 1)),
                "taken": Out(1),
                "instruction": In(fields_layout(Opcode.CONVOLVE)),
                "index": In(INDEX_BITS),
                "steps": In(WINDOW_STEPS),
                "due": Out(1),
                "stop": In(1),
                "clear": In(1),
                "issue": Out(1),
                "position": Out(1),
                "inside": Out(1),
                "address": Out(20),
                "tile_start": Out(1),
                "group_start": Out(1),
                "zero_point": Out(signed(config.arithmetic.activation_bits)),
                "weight_address": Out(bits_for(config.weight_depth - 1)),
                "fault": Out(1),
                "issue_index": Out(INDEX_BITS),
                "busy": Out(1),
                **({"weight_entry": Out(4)} if config.weight_zero_points else {}),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, rows, prepared = self.config, self.config.rows, self.instruction
        m.submodules.window = window = Window(config.activation_depth, groups=True)
        m.d.comb += [getattr(window, name).eq(prepared[name]) for name in (*window.geometry, "channel_rows")]
        m.d.comb += [window.steps.eq(self.steps), window.begin.eq(self.taken), window.follows.eq(self.taken)]
        begins, fresh, count = self._wait(m)

        running = Signal()
        place = Signal(range(max(rows, 2)))
        group_count = Signal(range(rows + 1), reset_less=True)
        weight_first = Signal(16, reset_less=True)
        tag_layout = data.StructLayout(
            {
                "position": 1,
                "tile_start": 1,
                "group_start": 1,
                "weight_row": 17,
                "zero_point": signed(config.arithmetic.activation_bits),
                "index": INDEX_BITS,
                **({"entry": 4} if config.weight_zero_points else {}),
            }
        )
        tag = Signal(tag_layout, reset_less=True)
        first_tile, tile_end = Signal(), Signal()
        m.d.comb += [
            tile_end.eq(place == rows - 1),
            tag.position.eq(place < group_count),
            tag.tile_start.eq(place == 0),
            tag.group_start.eq((place == 0) & first_tile),
            self.taken.eq(begins & fresh),
            self.due.eq(running & window.last_kernel & (place == group_due(config))),
            window.next_position.eq(running),
            window.moves.eq(self.taken | running),
            window.next_kernel.eq(self.taken | (running & tile_end)),
            window.keep.eq(tile_end & window.last_kernel),
            window.again.eq(tile_end & ~window.last_kernel),
        ]
        weight_row, zero_point, index = Signal(17, reset_less=True), Signal.like(tag.zero_point), Signal(INDEX_BITS)
        m.d.comb += [tag.weight_row.eq(weight_row), tag.zero_point.eq(zero_point), tag.index.eq(index)]
        with m.If(running):
            m.d.sync += [place.eq(place + 1), weight_row.eq(weight_row + 1)]
            with m.If(tile_end):
                m.d.sync += [place.eq(0), first_tile.eq(0), running.eq(~window.last_kernel)]
        with m.If(begins):
            m.d.sync += [running.eq(1), place.eq(0), first_tile.eq(1), group_count.eq(count)]
            m.d.sync += weight_row.eq(weight_first)
            with m.If(fresh):
                m.d.sync += [
                    weight_row.eq(prepared.weight_row),
                    weight_first.eq(prepared.weight_row),
                    zero_point.eq(prepared.zero_point),
                    index.eq(self.index),
                ]
        with m.If(self.stop | self.clear):
            m.d.sync += running.eq(0)

        # On their way to the issue.
        valid = Signal(WINDOW_LATENCY)
        tags = [Signal(tag_layout, name=f"tag_{n}", reset_less=True) for n in range(WINDOW_LATENCY)]
        m.d.sync += [valid.eq(Cat(running & ~self.stop, valid)), tags[0].eq(tag)]
        m.d.sync += [after.eq(before) for before, after in pairwise(tags)]
        beyond = Signal()
        m.d.sync += beyond.eq(tags[-2].tile_start & (tags[-2].weight_row > config.weight_depth - rows))
        with m.If(self.stop | self.clear):
            m.d.sync += valid.eq(0)
        bad, possible, last = Signal(), Signal(), tags[-1]
        m.d.comb += [
            bad.eq((last.position & window.outside) | beyond),
            possible.eq(valid[-1] & ~self.stop),
            self.issue.eq(possible & ~bad),
            self.fault.eq(possible & bad),
            self.issue_index.eq(last.index),
            self.position.eq(self.issue & last.position),
            self.inside.eq(self.position & window.valid),
            self.address.eq(window.address),
            self.tile_start.eq(self.issue & last.tile_start),
            self.group_start.eq(self.issue & last.group_start),
            self.zero_point.eq(last.zero_point),
            self.weight_address.eq(last.weight_row),
            self.busy.eq(running | valid.any()),
        ]
        if config.weight_zero_points:
            entry = Signal(4, reset_less=True)
            m.d.comb += [tag.entry.eq(entry), self.weight_entry.eq(tags[-1].entry)]
            with m.If(begins & fresh):
                m.d.sync += entry.eq(prepared.parameters)
        return m

    def _wait(self, m: Module) -> tuple[Value, Value, Value]:
        """(the group's first turn is in the next cycle, its instruction's first group, positions)."""
        lead = group_lead(self.config) - 1
        if lead == 0:
            return self.event, self.fresh, self.count
        waiting = Signal(lead)
        fresh, count = Signal(), Signal.like(self.count)
        m.d.sync += waiting.eq(Cat(self.event, waiting))
        with m.If(self.event):
            m.d.sync += [fresh.eq(self.fresh), count.eq(self.count)]
        with m.If(self.stop | self.clear):
            m.d.sync += waiting.eq(0)
        return waiting[-1] & ~self.stop, fresh, count
