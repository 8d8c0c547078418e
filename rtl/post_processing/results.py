"""Results: what post-processing has issued and not written yet: who counts when, who is written where, who ends."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from emulator.config import AcceleratorConfig
from emulator.front_end import INDEX_BITS
from emulator.instructions import ADDRESS_BITS, COUNTER_ROWS
from emulator.registers import LANE_COUNTERS
from emulator.timing import (
    OPERAND_DELAY,
    REQUANTIZER_LATENCY,
    SUM_DELAY,
    code_delay,
    counters_delay,
    output_delay,
    settings_delay,
)

from .lane_counters import NO_PLACE, PLACE_BITS

MOST = 2
"""Instructions under way at most: one that issues, and one whose results are on their way."""


class Results(wiring.Component):
    """Results of at most `MOST` instructions, in their order, of which the later one may be a COUNTERS.

    Members
    -------
    issued, ends : a result is issued; its instruction ends with it, or without one
    counting : from the cycle before the first result of a COUNTERS to that of its last
    sums : the operands of what is issued are sums
    add, table : codes go through the adder, through the table, where no bytes of counters take their place
    begins, row, stride, index, signal : an instruction begins; its rows, index and tokens, constant until the next one
    adder_ends : it has ended, and there is nothing else under way
    aborted : what has begun last will not say that it has ended
    clear : a run starts
    counts_follow, adder_follows, settings_follow : a COUNTERS may be the next to begin; an ADDER; any other one
    under_way : instructions that have begun and not ended
    finished, finished_index, signals : of `UnitPort`
    output_write, output_address : of the output scratchpad
    overflowed, clipped, add_clipped, counter_clear, place, lowest : of `lane_control`
    show, added, looked_up : `counters`, `add` and `table` of `lane_settings`
    """

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        super().__init__(
            {
                "issued": In(1),
                "ends": In(1),
                "counting": In(1),
                "sums": In(1),
                "add": In(1),
                "table": In(1),
                "begins": In(1),
                "row": In(17),
                "stride": In(12),
                "index": In(INDEX_BITS),
                "signal": In(4),
                "adder_ends": In(1),
                "aborted": In(1),
                "clear": In(1),
                "counts_follow": Out(1),
                "adder_follows": Out(1),
                "settings_follow": Out(1),
                "under_way": Out(range(MOST + 1)),
                "finished": Out(1),
                "finished_index": Out(INDEX_BITS),
                "signals": Out(4),
                "output_write": Out(1),
                "output_address": Out(ADDRESS_BITS),
                "overflowed": Out(1),
                "clipped": Out(1),
                "add_clipped": Out(1),
                "counter_clear": Out(1),
                "place": Out(PLACE_BITS),
                "lowest": Out(len(LANE_COUNTERS)),
                "show": Out(1),
                "added": Out(1),
                "looked_up": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        # Bit i: a result was issued i + 1 cycles ago, an instruction ended.
        flight, ends = Signal(output_delay(config)), Signal(output_delay(config), name="ends_on_their_way")
        m.d.sync += [flight.eq(Cat(self.issued, flight)), ends.eq(Cat(self.ends, ends))]
        # Registers between what is looked at and who begins: one cycle each.
        passed, soon = ~flight[: settings_delay(config) - 2].any(), flight[: counters_delay(config) - 2]
        under_way = self._rows(m, flight[-1], ends[-1])
        room = under_way != MOST
        m.d.sync += [
            self.counts_follow.eq(room & (~soon.any() if len(soon) else 1)),
            self.adder_follows.eq(passed & (under_way == 0)),
            self.settings_follow.eq(passed & room),
        ]

        at_table = code_delay(config.arithmetic) - 1
        further = config.columns if config.lane_columns > 1 else 0  # settings are so much ahead of the last columns
        counting = Signal(at_table + 1 + further)
        m.d.sync += counting.eq(Cat(self.counting, counting))

        def held(first, last):
            """From when a COUNTERS' first result is `first` cycles old until its last one is `last` cycles old."""
            return counting[first - 1 : last].any()

        settings = at_table - 1
        m.d.sync += [
            self.show.eq(held(settings, settings + further)),
            self.added.eq(self.add & ~held(settings, settings + further)),
            self.looked_up.eq(self.table & ~held(settings, settings + further + 1)),
        ]
        clips = OPERAND_DELAY + REQUANTIZER_LATENCY
        m.d.comb += [
            self.overflowed.eq(self.sums & flight[SUM_DELAY - 1] & ~counting[SUM_DELAY - 1]),
            self.clipped.eq(flight[clips - 1] & ~counting[clips - 1]),
            self.add_clipped.eq(self.added & flight[at_table] & ~counting[at_table]),
        ]
        # The lanes are told a cycle later.
        going_by, shows = counting[at_table - 1], flight[at_table - 1] & counting[at_table - 1]
        self._places(m, held(at_table - COUNTER_ROWS, at_table), going_by, shows)
        return m

    def _rows(self, m: Module, writes: Value, ends: Value) -> Value:
        """The next row of the instruction that began first, and its end; returns `under_way` of the next cycle."""
        ended, begun, under_way, stride = Signal(), Signal(), self.under_way, Signal(12)
        later = Signal.like(under_way, name="later")
        m.d.comb += [
            ended.eq(ends | self.adder_ends),
            later.eq(Mux(self.clear, 0, under_way + self.begins - ended)),
            self.output_write.eq(writes),
        ]
        m.d.sync += [
            begun.eq(self.begins),
            under_way.eq(later),
            self.finished.eq(ended & ~(self.aborted & (under_way == 1))),
        ]
        # One that began while another was under way waits until that one has ended.
        with m.If((begun | self.finished) & (under_way == 1)):
            m.d.sync += [
                self.output_address.eq(self.row),
                stride.eq(self.stride),
                self.finished_index.eq(self.index),
                self.signals.eq(self.signal),
            ]
        with m.Elif(writes):
            m.d.sync += self.output_address.eq(self.output_address + stride)
        return later

    def _places(self, m: Module, shown: Value, going_by: Value, shows: Value) -> None:
        """Visit the counters' bytes, one after the other; during COUNTERS that of the row that goes by.

        shown : rows of counters go by, or will within a round of visits
        going_by, shows : they go by; one is there
        """
        place, row, clear = Signal.like(self.place), Signal.like(self.place, name="counter_row"), Signal()
        following = Mux(place != NO_PLACE, place, Mux(shown & shows, row, NO_PLACE))
        m.d.sync += [
            row.eq(Mux(going_by, row + shows, 0)),
            self.place.eq(following),
            self.lowest.eq(Cat(following == 4 * counter for counter in range(len(LANE_COUNTERS)))),
            self.counter_clear.eq(clear),
        ]
        ends = (place == COUNTER_ROWS - 1) | (place == NO_PLACE)
        m.d.sync += place.eq(Mux(ends, Mux(shown, NO_PLACE, 0), place + 1))
        # A run starts with zeros: events come only after a whole round.
        with m.If(self.clear):
            m.d.sync += [place.eq(0), clear.eq(1)]
        with m.Elif(place == COUNTER_ROWS - 1):
            m.d.sync += clear.eq(0)
