"""Program order: LOADs move up as far as rows, memory and queues allow, and every buffer gets its rows.

Emission writes operations in the order in which one would think of them: load, convolve, requantize, store. Each unit
keeps that order; but a LOAD goes in front of other units' operations as soon as its rows are free, so that transfers
run ahead of the array.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from heapq import heappop, heappush
from operator import itemgetter

from emulator.instructions import Unit

from .allocator import Allocator, RestingAllocator
from .external_hazards import LastWriter
from .operation import Buffer, Memory, Operation

LOOKAHEAD = 12
"""LOADs in front of an operation that does not need them: fewer than a queue holds, so that it gets past them."""


class NoRoomError(Exception):
    """A layer's buffers do not fit a memory at once."""

    def __init__(self, layer: int, memory: Memory, rows: int):
        super().__init__(layer, memory, rows)
        self.layer, self.memory, self.rows = layer, memory, rows


def schedule(operations: Sequence[Operation], depths: dict[Memory, int], memory_bytes: int) -> list[Operation]:
    """The operations in program order, all buffers placed.

    A layer whose buffers do not fit because LOADs ran ahead is emitted again without; `NoRoomError` if they still do
    not fit.
    """
    stores = _stores_before(operations, memory_bytes)
    serial: set[int] = set()
    while True:
        try:
            return _Scheduler(operations, depths, stores, serial).run()
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
    def __init__(self, operations: Sequence[Operation], depths: dict[Memory, int], stores: list[int], serial: set[int]):
        self.operations, self.stores, self.serial = operations, stores, serial
        self.allocators = {memory: Allocator(depth) for memory, depth in depths.items()}
        self.allocators[Memory.OUTPUT] = RestingAllocator(depths[Memory.OUTPUT])
        self.half = depths[Memory.ACCUMULATOR] // 2
        self.upper = depths[Memory.ACCUMULATOR] - self.half
        self.in_upper = False
        self.last_use: dict[Buffer, int] = {}
        for index, operation in enumerate(operations):
            for access in operation.accesses:
                self.last_use[access.buffer] = index
        for buffer in self.last_use:
            buffer.address = -1
        queues: dict[Memory, deque[int]] = {}
        for index, operation in enumerate(operations):
            if operation.unit == Unit.LOAD:
                queues.setdefault(operation.accesses[0].buffer.memory, deque()).append(index)
        self.waiting = list(queues.values())
        self.full: set[Memory] = set()
        self.early: list[int] = []
        self.done = -1

    def run(self) -> list[Operation]:
        others = [i for i, operation in enumerate(self.operations) if operation.unit != Unit.LOAD]
        order: list[Operation] = []
        for index in others:
            while self.waiting and (first := min(queue[0] for queue in self.waiting)) < index:
                if not self.place(first):
                    self.fail(first)
                self.take(first, order)
            self.load_ahead(index, order)
            if not self.place(index):
                self.fail(index)
            order.append(self.operations[index])
            self.done = index
            self.release(index)
        return order

    def load_ahead(self, index: int, order: list[Operation]) -> None:
        """LOADs that are not needed yet, memory by memory: what waits for room or for a STORE holds up no other one."""
        while self.ahead(index) < LOOKAHEAD:
            for queue in sorted(self.waiting, key=itemgetter(0)):
                candidate = queue[0]
                if (
                    self.stores[candidate] <= self.done
                    and self.operations[candidate].layer not in self.serial
                    and self.operations[candidate].accesses[0].buffer.memory not in self.full
                ):
                    if self.place(candidate):
                        self.take(candidate, order)
                        break
                    self.full.add(self.operations[candidate].accesses[0].buffer.memory)
            else:
                return

    def ahead(self, index: int) -> int:
        """LOADs in program order that an operation does not need."""
        while self.early and self.early[0] < index:
            heappop(self.early)
        return len(self.early)

    def take(self, index: int, order: list[Operation]) -> None:
        """A placed LOAD enters the program."""
        order.append(self.operations[index])
        heappush(self.early, index)
        queue = next(queue for queue in self.waiting if queue[0] == index)
        queue.popleft()
        if not queue:
            self.waiting.remove(queue)

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
                buffer.address = start
                continue
            found = allocator.take(buffer.rows, operation.layer in self.serial)
            if found is None:
                return False
            buffer.address = found
        return True

    def release(self, index: int) -> None:
        """Free the rows of buffers that no later operation uses."""
        for buffer in {access.buffer for access in self.operations[index].accesses}:
            if self.last_use[buffer] == index:
                self.allocators[buffer.memory].free(buffer.address, buffer.rows)
                self.full.discard(buffer.memory)
