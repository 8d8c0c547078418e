"""Weight loader: puts the next weight tile into the elements' shadow while the current one is in use."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from emulator.config import AcceleratorConfig

from ..unit import INDEX_BITS


class WeightLoader(wiring.Component):
    """Walks the weight tiles of one instruction after the other, one row per cycle, as soon as the shadow is free.

    Where an instruction has several column blocks, these take turns, tile by tile.

    A tile is checked as a whole when its turn comes, and loaded to its end whatever happens then: the wavefront of a
    tile's first position reaches the lower rows after their weights.

    Members
    -------
    offered, taken : an instruction is prepared; the loader takes it in this cycle
    weight_row, tiles, further_blocks, index : of the prepared instruction; `tiles` in each of its column blocks
    started : the tile in the shadow has got its turn
    freed : the first position of the tile in the shadow is issued: the shadow may be written again
    stop, clear : begin no further tile; back to idle
    will_be_loaded : in the next cycle a tile is in the shadow, or on its way there in time, but for `started`, `stop`
    read, address, first : read a row of the weight scratchpad, for array row 0
    parameters, entry : where weights may have zero points: entry of the prepared instruction; with `read`: the tile's
    fault, fault_index : for one cycle, combinational: the next tile lies outside the scratchpad
    """

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        super().__init__(
            {
                "offered": In(1),
                "taken": Out(1),
                "weight_row": In(16),
                "tiles": In(28),
                "further_blocks": In(4),
                "index": In(INDEX_BITS),
                "started": In(1),
                "freed": In(1),
                "stop": In(1),
                "clear": In(1),
                "will_be_loaded": Out(1),
                "read": Out(1),
                "address": Out(bits_for(config.weight_depth - 1)),
                "first": Out(1),
                "fault": Out(1),
                "fault_index": Out(INDEX_BITS),
                **({"parameters": In(4), "entry": Out(4)} if config.weight_zero_points else {}),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        active, free = Signal(), Signal(init=1)
        tile_row, left = Signal(17, reset_less=True), Signal(28, reset_less=True)
        rows_left, further_rows = Signal(range(max(config.rows, 2))), Signal()  # and whether there are any
        open_ = Signal(init=1)  # the shadow is free, and no row of a tile is on its way
        loaded, ready, advances, begins = Signal(), Signal(), Signal(), Signal()
        blocks, blocks_left = Signal(4, reset_less=True), Signal(4, reset_less=True)
        last_block = Signal()  # what `blocks_left` is compared with 0
        # A cycle late: the fields are there long before they are taken, and the shadow is not free just after a tile.
        beyond, first_beyond, limit = Signal(), Signal(), config.weight_depth - config.rows
        m.d.sync += [beyond.eq(tile_row > limit), first_beyond.eq(self.weight_row > limit)]
        m.d.comb += [
            self.taken.eq(self.offered & ~active),
            ready.eq(active & open_),
            advances.eq(ready & ~beyond),
            self.fault.eq(ready & ~self.stop & beyond),
            begins.eq(advances & ~self.stop),
            self.will_be_loaded.eq(loaded | advances),
        ]
        was_free, more_rows = free | self.freed, self.read & (rows_left > 1)
        m.d.sync += [
            self.first.eq(begins),
            self.read.eq(~self.clear & (begins | further_rows)),
            further_rows.eq(~self.clear & Mux(begins, config.rows > 1, more_rows)),
            loaded.eq(~self.clear & (begins | (loaded & ~self.started))),
            free.eq(self.clear | (~begins & was_free)),
            open_.eq(self.clear | (~begins & was_free & ~more_rows)),
        ]
        # What is only looked at while a tile is read, or while `active`, does not wait for `stop`, which comes late.
        with m.If(ready):
            m.d.sync += [rows_left.eq(config.rows - 1), self.address.eq(tile_row)]
        with m.Elif(self.read):
            m.d.sync += [rows_left.eq(rows_left - 1), self.address.eq(self.address + 1)]
        with m.If(advances):
            m.d.sync += [
                tile_row.eq(tile_row + config.rows),
                left.eq(left - last_block),
                blocks_left.eq(Mux(last_block, blocks, blocks_left - 1)),
                last_block.eq(Mux(last_block, blocks == 0, blocks_left == 1)),
                active.eq((left != 1) | ~last_block),
            ]
        with m.If(self.taken):
            m.d.sync += active.eq(1)
        with m.If(~active):  # whether or not one is taken
            m.d.sync += [
                tile_row.eq(self.weight_row),
                beyond.eq(first_beyond),
                left.eq(self.tiles),
                blocks.eq(self.further_blocks),
                blocks_left.eq(self.further_blocks),
                last_block.eq(self.further_blocks == 0),
                self.fault_index.eq(self.index),
            ]
        if config.weight_zero_points:
            first_entry, tile_entry = Signal(4, reset_less=True), Signal(4, reset_less=True)
            with m.If(advances):
                m.d.sync += [self.entry.eq(tile_entry), tile_entry.eq(Mux(last_block, first_entry, tile_entry + 1))]
            with m.If(~active):
                m.d.sync += [first_entry.eq(self.parameters), tile_entry.eq(self.parameters)]
        with m.If(self.stop | self.clear):
            m.d.sync += active.eq(0)
        return m
