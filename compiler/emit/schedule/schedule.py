"""Program order: LOADs move up as far as rows, memory and queues allow, and every buffer gets its rows.

Emission writes operations in the order in which one would think of them: load, convolve, requantize, store. Each unit
keeps that order; but a LOAD goes in front of other units' operations as soon as its rows are free, so that transfers
run ahead of the array.
"""

from __future__ import annotations

from collections.abc import Sequence

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

    def run(self) -> list[Operation]:
        loads = [i for i, operation in enumerate(self.operations) if operation.unit == Unit.LOAD]
        others = [i for i, operation in enumerate(self.operations) if operation.unit != Unit.LOAD]
        order: list[Operation] = []
        next_load, needed, done = 0, 0, -1
        for index in others:
            while needed < len(loads) and loads[needed] < index:
                needed += 1
            while next_load < len(loads) and next_load - needed < LOOKAHEAD:
                candidate = loads[next_load]
                ahead = candidate > index
                if ahead and (self.stores[candidate] > done or self.operations[candidate].layer in self.serial):
                    break
                if not self.place(candidate):
                    if ahead:
                        break
                    self.fail(candidate)
                order.append(self.operations[candidate])
                next_load += 1
            if not self.place(index):
                self.fail(index)
            order.append(self.operations[index])
            self.release(index)
            done = index
        return order

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
