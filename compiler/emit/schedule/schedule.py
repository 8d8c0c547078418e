"""Program order: LOADs move up as far as rows, memory and queues allow, and every buffer gets its rows.

Emission writes operations in the order in which one would think of them: load, convolve, requantize, store. Each unit
keeps that order; but a LOAD goes in front of other units' operations as soon as its rows are free, so that transfers
run ahead of the array.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence

import numpy as np

from emulator.instructions import Unit

from .allocator import Allocator, RestingAllocator
from .clock import Clock, Times
from .external_hazards import LastWriter
from .operation import Buffer, Memory, Operation

LOOKAHEAD = 12
"""LOADs in front of an operation that begin after it, by the estimated times: fewer than a queue holds, so that the
operation is not held up behind them. Where the estimate is off, it may wait for some of them, and nothing worse."""
FITTING = 4
"""The part of a LOAD that ends before another one could begin which it passes: the bus hardly ever idles."""


class NoRoomError(Exception):
    """A layer's buffers do not fit a memory at once."""

    def __init__(self, layer: int, memory: Memory, rows: int):
        super().__init__(layer, memory, rows)
        self.layer, self.memory, self.rows = layer, memory, rows


def schedule(
    operations: Sequence[Operation],
    depths: dict[Memory, int],
    memory_bytes: int,
    times: Times | None = None,
) -> list[Operation]:
    """The operations in program order, all buffers placed.

    times : how long about the operations take; None: no time

    A layer whose buffers do not fit because LOADs ran ahead is emitted again without; `NoRoomError` if they still do
    not fit.
    """
    stores = _stores_before(operations, memory_bytes)
    times = times or Times([0] * len(operations))
    serial: set[int] = set()
    while True:
        try:
            return _Scheduler(operations, depths, stores, times, serial).run()
        except NoRoomError as error:
            if error.layer in serial:
                raise
            serial.add(error.layer)


def _stores_before(operations: Sequence[Operation], memory_bytes: int) -> list[int]:
    """For each operation, the STORE whose data it loads: its index, or −1."""
    last, found = LastWriter(memory_bytes), [-1] * len(operations)
    for index, operation in enumerate(operations):
        if operation.transfer is not None:
            if operation.unit == Unit.STORE:
                last.write(operation.transfer, index)
            else:
                found[index] = last.read(operation.transfer)
    return found


class _Scheduler:
    """Program order and places, with the time at which about each operation ends.

    waiting : LOADs that are not in the program, memory by memory, in the order of emission
    early : when about LOADs in the program begin, and their indices
    full : memories in which the next LOAD found no room
    done : the last operation of another unit
    clock : when about each operation of the program ends; rows: when the last content of each row has been used
    releases : for each memory, the operations that are the last ones to use a buffer
    """

    def __init__(
        self,
        operations: Sequence[Operation],
        depths: dict[Memory, int],
        stores: list[int],
        times: Times,
        serial: set[int],
    ):
        self.operations, self.stores, self.serial = operations, stores, serial
        self.durations, self.clock = times.cycles, Clock(operations, times)
        self.rows = {memory: np.zeros(depth, np.int64) for memory, depth in depths.items()}
        self.allocators = {memory: Allocator(depth) for memory, depth in depths.items()}
        self.allocators[Memory.OUTPUT] = RestingAllocator(depths[Memory.OUTPUT])
        self.half = depths[Memory.ACCUMULATOR] // 2
        self.upper = depths[Memory.ACCUMULATOR] - self.half
        self.in_upper = False
        self.last_use: dict[Buffer, int] = {}
        for index, operation in enumerate(operations):
            for access in operation.accesses:
                self.last_use[access.buffer] = index
        self.releases: dict[Memory, list[int]] = {}
        for buffer, index in self.last_use.items():
            buffer.address = -1
            self.releases.setdefault(buffer.memory, []).append(index)
        for indices in self.releases.values():
            indices.sort()
        queues: dict[Memory, deque[int]] = {}
        for index, operation in enumerate(operations):
            if operation.unit == Unit.LOAD:
                queues.setdefault(operation.accesses[0].buffer.memory, deque()).append(index)
        self.waiting = list(queues.values())
        self.full: set[Memory] = set()
        self.early: deque[tuple[int, int]] = deque()
        self.done = -1

    def run(self) -> list[Operation]:
        others = [i for i, operation in enumerate(self.operations) if operation.unit != Unit.LOAD]
        order: list[Operation] = []
        for index in others:
            while self.waiting and (first := min(queue[0] for queue in self.waiting)) < index:
                if not self.place(first):
                    self.fail(first)
                self.load(first, order)
            if not self.place(index):
                self.fail(index)
            start = self.clock.start(index, self.stores[index])
            self.load_ahead(index, start, order)
            self.enter(index, start, order)
            self.done = index
            self.release(index)
        return order

    def load_ahead(self, index: int, start_of: int, order: list[Operation]) -> None:
        """LOADs that operation `index`, which begins at about `start_of`, does not need, in the order of emission.

        One that would wait, for room or for a STORE, is passed by those to other memories that are done in time.
        """
        free, end = self.clock.units, start_of + self.durations[index]
        while self.waiting and self.ahead(index, start_of) < LOOKAHEAD:
            found, limit = -1, -1
            candidates = sorted(queue[0] for queue in self.waiting)
            while candidates and self.waits(candidates[-1]):  # no other one can pass it
                candidates.pop()
            for candidate in candidates:
                start = self.ready(candidate)
                if start < 0:
                    soonest = self.soonest(candidate, index, end)
                    limit = soonest if limit < 0 else min(limit, soonest)
                elif limit < 0 and start <= free[Unit.LOAD]:
                    found = candidate
                    break
                elif limit < 0:
                    found, limit = candidate, start
                elif start + self.durations[candidate] // FITTING <= limit:
                    found = candidate
                    break
                if 0 <= limit <= free[Unit.LOAD]:
                    break
            if found < 0:
                return
            self.load(found, order)

    def soonest(self, candidate: int, index: int, end: int) -> int:
        """When at the soonest a LOAD could begin that waits for what is behind operation `index`, which ends at `end`:
        for its STORE, or for rows that are freed."""
        operation, last = self.operations[candidate], self.stores[candidate]
        if last <= self.done:
            if operation.layer in self.serial:
                return end
            releases = self.releases[operation.accesses[0].buffer.memory]
            last = releases[bisect_left(releases, index)]
        return max(end, self.clock.soonest(last, index))

    def waits(self, index: int) -> bool:
        """Whether a LOAD must wait for what is not in the program, as is known without a look for room."""
        if self.stores[index] > self.done:
            return True
        operation = self.operations[index]
        return operation.layer in self.serial or operation.accesses[0].buffer.memory in self.full

    def ready(self, index: int) -> int:
        """When a LOAD could begin, its rows placed; −1 if it must wait for what is not in the program."""
        if self.waits(index):
            return -1
        if not self.place(index):
            self.full.add(self.operations[index].accesses[0].buffer.memory)
            return -1
        return self.clock.start(index, self.stores[index])

    def ahead(self, index: int, time: int) -> int:
        """LOADs in program order that an operation does not need and that have not begun by a time."""
        while self.early and self.early[0][0] < time:
            self.early.popleft()
        return sum(load > index for _, load in self.early)

    def load(self, index: int, order: list[Operation]) -> None:
        """A placed LOAD enters the program."""
        queue = next(queue for queue in self.waiting if queue[0] == index)
        queue.popleft()
        if not queue:
            self.waiting.remove(queue)
        start = self.clock.start(index, self.stores[index])
        self.early.append((start, index))
        self.enter(index, start, order)

    def enter(self, index: int, start: int, order: list[Operation]) -> None:
        """An operation that begins at about `start` enters the program."""
        self.clock.enter(index, start)
        order.append(self.operations[index])

    def fail(self, index: int) -> None:
        operation = self.operations[index]
        buffer = next(access.buffer for access in operation.accesses if access.buffer.address < 0)
        raise NoRoomError(operation.layer, buffer.memory, buffer.rows)

    def place(self, index: int) -> bool:
        """Give the operation's fresh buffers their rows; False if there is no room."""
        operation = self.operations[index]
        for access in operation.accesses:
            buffer = access.buffer
            if buffer.address >= 0:
                continue
            allocator = self.allocators[buffer.memory]
            if buffer.memory == Memory.ACCUMULATOR:
                # The other half than the last one: requantization reads there while this one is filled.
                self.in_upper = not self.in_upper
                start = self.upper if self.in_upper else 0
                if buffer.rows > self.half or not allocator.take_at(start, buffer.rows):
                    return False
                self.occupy(buffer, start)
                continue
            found = allocator.take(buffer.rows, operation.layer in self.serial)
            if found is None:
                return False
            self.occupy(buffer, found)
        return True

    def occupy(self, buffer: Buffer, address: int) -> None:
        """The buffer has its rows."""
        buffer.address = address
        self.clock.freed[buffer] = int(np.maximum.reduce(self.rows[buffer.memory][address : address + buffer.rows]))

    def release(self, index: int) -> None:
        """Free the rows of buffers that no later operation uses."""
        for buffer in {access.buffer for access in self.operations[index].accesses}:
            if self.last_use[buffer] == index:
                self.allocators[buffer.memory].free(buffer.address, buffer.rows)
                self.full.discard(buffer.memory)
                self.rows[buffer.memory][buffer.address : buffer.address + buffer.rows] = self.clock.ends[index]
