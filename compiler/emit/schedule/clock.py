"""When about each operation of a program begins and ends, as it is put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from emulator.config import AcceleratorConfig
from emulator.instructions import INSTRUCTION_BYTES, Unit
from emulator.timing import sum_round_trip

from .durations import LANES_TRIP, START_CYCLES, TRANSFER_CYCLES, duration
from .operation import WRITER, Access, Buffer, Operation

_OTHERS = tuple(unit for unit in Unit if unit != Unit.LOAD)


@dataclass(frozen=True)
class Times:
    """About how long operations take; nothing does by default.

    cycles : of each operation in its unit
    trips : unit → cycles from an operation's end in it until what it has written can be read
    start : when the first operation begins
    fetch : cycles of the bus for an instruction
    """

    cycles: Sequence[int]
    trips: tuple[int, ...] = (0,) * len(Unit)
    start: int = 0
    fetch: int = 0


def times(operations: Sequence[Operation], config: AcceleratorConfig) -> Times:
    """The times of an accelerator."""
    trips = {Unit.LOAD: TRANSFER_CYCLES, Unit.CONVOLVE: sum_round_trip(config), Unit.POST_PROCESS: LANES_TRIP}
    return Times(
        [duration(operation, config) for operation in operations],
        tuple(trips.get(unit, 0) for unit in Unit),
        START_CYCLES,
        INSTRUCTION_BYTES // config.bus_bytes,
    )


class Clock:
    """Times of the operations that are in the program.

    units : when each unit is free
    ends : when each operation ends
    freed : buffer → when the rows that it was given have been used for the last time before
    """

    def __init__(self, operations: Sequence[Operation], times: Times):
        self.operations, self.times = operations, times
        self.units = [times.start] * len(Unit)
        self.ends = [0] * len(operations)
        self.freed: dict[Buffer, int] = {}
        self.written: dict[Buffer, list[tuple[Access, int]]] = {}
        of_unit = [operation.unit for operation in operations]
        self.work = [
            list(accumulate((c if u == unit else 0 for u, c in zip(of_unit, times.cycles, strict=True)), initial=0))
            for unit in Unit
        ]

    def start(self, index: int, store: int) -> int:
        """When an operation begins whose buffers have their rows; `store`: the one whose data it loads, or −1."""
        operation = self.operations[index]
        start = max(self.units[operation.unit], self.ends[store] if store >= 0 else 0)
        for access in operation.accesses:
            if access.write:
                start = max(start, self.freed[access.buffer])
            elif WRITER[access.buffer.memory] != operation.unit:
                for write, end in self.written.get(access.buffer, ()):
                    if end > start and meet(write, access):
                        start = end
        return start

    def enter(self, index: int, start: int) -> None:
        """An operation enters the program that begins at `start`."""
        operation = self.operations[index]
        unit = operation.unit
        end = self.ends[index] = self.units[unit] = start + self.times.cycles[index]
        self.units[Unit.LOAD] += self.times.fetch
        for access in operation.accesses:
            if access.write:
                self.written.setdefault(access.buffer, []).append((access, end + self.times.trips[unit]))

    def soonest(self, last: int, index: int) -> int:
        """When operation `last` ends at the soonest, if `index` is the next one of the program that is no LOAD.

        Units take no less time than for all the work before.
        """
        found = 0
        for unit in _OTHERS:
            work = self.work[unit]
            found = max(found, self.units[unit] + work[last + 1] - work[index])
        return found


def meet(one: Access, other: Access) -> bool:
    """Whether two accesses of a buffer may have a row in common, as their bounds and equal pitches tell."""
    if one.offset + (one.count - 1) * one.pitch + one.width <= other.offset:
        return False
    if other.offset + (other.count - 1) * other.pitch + other.width <= one.offset:
        return False
    if one.pitch != other.pitch or one.count == 1 or other.count == 1:
        return True
    distance = (other.offset - one.offset) % one.pitch
    return distance < one.width or distance + other.width > one.pitch
