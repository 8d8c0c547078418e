"""Group engine: moves the sums of groups into the output-stationary array, and results out of it."""

from itertools import pairwise

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from emulator.config import AcceleratorConfig
from emulator.instructions import Opcode
from emulator.timing import GROUPS_IN_FLIGHT, group_commit_delay, group_read_delay, group_write_delay

from ..control import accumulate_control
from ..fields import fields_layout
from ..unit import INDEX_BITS


class GroupEngine(wiring.Component):
    """Events: a group begins, or, where none can, the array is flushed. Either way the sums that move down the array's
    columns, the last position's first, take away the results of the group before.

    An event comes exactly when the group before has had all its turns; after a flush, whenever there is an instruction.
    One that carries on sums waits until all results are written. Results move only from the issue of the event's first
    position on: of a group that was not issued to its end nothing is written.

    Members
    -------
    offered, taken, instruction, index, positions : the prepared instruction; its output positions
    due : the current group has its last turns; the next cycle has an event
    event, fresh, count : a group begins; it is its instruction's first; its positions
    committed : its first position is issued
    stop, clear : no further event; back to idle
    first : results and sums change places: to array row 0, in step with the issue
    accumulate, bank_reads : control of accumulator lane 0; banks that it reads in the next cycle
    finished, signals, finished_index : an instruction's last result is being written
    fault, fault_index : combinational: the group's sums would lie outside the accumulator memory
    busy : a group is in the array, or results on their way
    """

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        super().__init__(
            {
                "offered": In(1),
                "taken": Out(1),
                "instruction": In(fields_layout(Opcode.CONVOLVE)),
                "index": In(INDEX_BITS),
                "positions": In(24),
                "due": In(1),
                "event": Out(1),
                "fresh": Out(1),
                "count": Out(range(config.rows + 1)),
                "committed": In(1),
                "stop": In(1),
                "clear": In(1),
                "first": Out(1),
                "accumulate": Out(accumulate_control(config)),
                "bank_reads": Out(2),
                "finished": Out(1),
                "signals": Out(4),
                "finished_index": Out(INDEX_BITS),
                "fault": Out(1),
                "fault_index": Out(INDEX_BITS),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, rows, prepared = self.config, self.config.rows, self.instruction
        active, due, more = Signal(), Signal(), Signal()
        rest = Signal(range(max(rows, 2)))
        drain = Signal(range(rows + group_write_delay(config) + 1))
        row, left = Signal(17, reset_less=True), Signal(24, reset_less=True)
        carry, parameters = Signal(reset_less=True), Signal(4, reset_less=True)
        group = Signal(self._result_layout(), reset_less=True)
        here_row, here_left = Signal(17), Signal(24)
        begins, flush = Signal(), Signal()
        on_their_way = Signal(group_commit_delay(config))  # events; whether there is a result to take along
        results, flushes = Signal.like(on_their_way), Signal.like(on_their_way)
        drained = Signal()
        m.d.comb += [
            drained.eq(~active & ~on_their_way.any() & (drain == 0)),
            self.fresh.eq(~(due & more)),
            begins.eq(
                ~self.stop
                & ((due & more) | (self.offered & (due | (~active & (rest == 0))) & (~prepared.carry | drained)))
            ),
            flush.eq(~self.stop & due & ~begins),
            here_row.eq(Mux(self.fresh, prepared.accumulator_row, row)),
            here_left.eq(Mux(self.fresh, self.positions, left)),
            self.count.eq(Mux(here_left > rows, rows, here_left)),
            self.fault.eq(begins & (here_row + self.count > config.accumulator_depth)),
            self.fault_index.eq(Mux(self.fresh, self.index, group.index)),
            self.event.eq(begins & ~self.fault),
            self.taken.eq(self.event & self.fresh),
        ]
        with m.If(rest != 0):
            m.d.sync += rest.eq(rest - 1)
        m.d.sync += due.eq(self.due)
        with m.If(self.event):
            m.d.sync += [
                active.eq(1),
                more.eq(here_left > rows),
                row.eq(here_row + rows),
                left.eq(here_left - rows),
                group.row.eq(here_row),
                group.count.eq(self.count),
                group.final.eq(here_left <= rows),
            ]
            with m.If(self.fresh):
                m.d.sync += [
                    carry.eq(prepared.carry),
                    parameters.eq(prepared.parameters),
                    group.signals.eq(prepared.signal),
                    group.index.eq(self.index),
                ]
        with m.If(flush):
            m.d.sync += [active.eq(0), rest.eq(rows - 1)]
        m.d.sync += [
            on_their_way.eq(Cat(self.event | flush, on_their_way)),
            flushes.eq(Cat(flush, flushes)),
            results.eq(Cat((self.event | flush) & active, results)),
        ]
        with m.If(self.stop | self.clear):
            m.d.sync += [active.eq(0), due.eq(0), on_their_way.eq(0), flushes.eq(0), results.eq(0)]
        with m.If(self.clear):
            m.d.sync += rest.eq(0)
        moves = Signal()
        m.d.comb += [
            self.first.eq(self.committed | (flushes[-1] & ~self.stop)),
            moves.eq(self.first & results[-1]),
            self.busy.eq(active | on_their_way.any() | (drain != 0)),
        ]
        with m.If(moves):
            m.d.sync += drain.eq(rows - 1 + group_write_delay(config))
        with m.Elif(drain != 0):
            m.d.sync += drain.eq(drain - 1)
        carry, parameters = Mux(self.fresh, prepared.carry, carry), Mux(self.fresh, prepared.parameters, parameters)
        self._starts(m, here_row, carry, parameters)
        self._results(m, group, (self.event | flush) & active, moves)
        return m

    def _result_layout(self) -> data.StructLayout:
        """A group: its first accumulator row, positions, whether it is its instruction's last, and whose it is."""
        count = bits_for(self.config.rows)
        return data.StructLayout({"row": 17, "count": count, "final": 1, "signals": 4, "index": INDEX_BITS})

    def _starts(self, m: Module, row: Value, carry: Value, parameters: Value) -> None:
        """Control of the sums to start from, one per cycle, the group's last position first."""
        rows = self.config.rows
        running, carries = Signal(), Signal()
        place, count = Signal(range(max(rows, 2))), Signal.like(self.count)
        address = Signal(17, reset_less=True)
        layout = data.StructLayout({"carry": 1, "row": len(self.accumulate.read_address), "parameters": 4})
        stages = [Signal(layout, name=f"start_{n}", reset_less=True) for n in range(group_read_delay(self.config))]
        entry = Signal(4, reset_less=True)
        with m.If(running):
            m.d.sync += [place.eq(place - 1), address.eq(address - 1), running.eq(place != 0)]
        with m.If(self.event):
            m.d.sync += [running.eq(1), place.eq(rows - 1), count.eq(self.count), carries.eq(carry)]
            m.d.sync += [address.eq(row + (rows - 1)), entry.eq(parameters)]
        with m.If(self.clear):
            m.d.sync += running.eq(0)
        m.d.comb += [
            stages[0].carry.eq(running & carries & (place < count)),
            stages[0].row.eq(address),
            stages[0].parameters.eq(entry),
        ]
        m.d.sync += [after.eq(before) for before, after in pairwise(stages)]
        with m.If(self.clear):
            m.d.sync += [stage.carry.eq(0) for stage in stages[1:]]
        before, last = stages[-2], stages[-1]
        m.d.comb += [
            self.accumulate.carry.eq(last.carry),
            self.accumulate.read_address.eq(last.row),
            self.accumulate.parameters.eq(last.parameters),
            self.bank_reads.eq(Cat(before.carry & ~before.row[0], before.carry & before.row[0])),
        ]

    def _results(self, m: Module, group: Value, ends: Value, moves: Value) -> None:
        """Control of the results, likewise; `ends`: the group's successor has its event; `moves`: its results move."""
        rows = self.config.rows
        m.submodules.groups = groups = Memory(shape=group.shape().size, depth=GROUPS_IN_FLIGHT, init=[])
        put, get = groups.write_port(), groups.read_port(domain="comb")
        moving = Signal(group_write_delay(self.config) - 1)
        m.d.sync += [moving.eq(Cat(moves, moving)), put.addr.eq(put.addr + ends), get.addr.eq(get.addr + moving[-1])]
        with m.If(self.clear):
            m.d.sync += [put.addr.eq(0), get.addr.eq(0)]
        running, place = Signal(), Signal(range(max(rows, 2)))
        written = Signal(self._result_layout(), reset_less=True)
        address = Signal(17, reset_less=True)
        m.d.comb += [put.en.eq(ends), put.data.eq(group)]
        with m.If(running):
            m.d.sync += [place.eq(place - 1), address.eq(address - 1), running.eq(place != 0)]
        with m.If(moving[-1]):
            taken = data.View(self._result_layout(), get.data)
            m.d.sync += [running.eq(1), place.eq(rows - 1), written.eq(get.data), address.eq(taken.row + (rows - 1))]
        m.d.comb += [
            self.accumulate.write.eq(running & (place < written.count)),
            self.accumulate.write_address.eq(address),
            self.finished.eq(running & (place == 0) & written.final),
            self.signals.eq(written.signals),
            self.finished_index.eq(written.index),
        ]
