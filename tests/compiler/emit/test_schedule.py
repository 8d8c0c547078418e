"""Allocation and program order: buffers never overlap while they live, LOADs run ahead, units keep their order."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.emit.schedule.allocator import Allocator, RestingAllocator
from compiler.emit.schedule.operation import Access, Buffer, Memory, Operation, Transfer
from compiler.emit.schedule.schedule import LOOKAHEAD, NoRoomError, schedule
from emulator.instructions import Opcode, Unit

DEPTHS = {memory: 64 for memory in Memory} | {Memory.TABLE: 1}


@pytest.mark.parametrize("kind", [Allocator, RestingAllocator])
@given(st.integers(4, 60), st.lists(st.tuples(st.booleans(), st.integers(1, 20)), max_size=60))
@settings(max_examples=100, deadline=None)
def test_allocated_rows_never_overlap(kind: type[Allocator], depth: int, requests: list[tuple[bool, int]]) -> None:
    allocator, taken = kind(depth), []
    for give_back, rows in requests:
        if give_back and taken:
            allocator.free(*taken.pop(0))
            continue
        start = allocator.take(rows)
        free = depth - sum(size for _, size in taken)
        if start is None:
            assert taken or rows > free, "an empty memory has room for all that fits"
            continue
        assert start >= 0 and start + rows <= depth
        assert all(start + rows <= first or first + size <= start for first, size in taken)
        taken.append((start, rows))
    for first, size in taken:
        allocator.free(first, size)
    assert allocator.take(depth) == 0


def test_two_large_buffers_always_fit_whatever_came_before() -> None:
    allocator = Allocator(100)
    first = allocator.take(30)
    second = allocator.take(48)
    assert first is not None and second is not None
    allocator.free(first, 30)
    third = allocator.take(51)
    assert third is not None
    allocator.free(second, 48)
    assert allocator.take(49) is not None


def test_rows_rest_as_long_as_they_can() -> None:
    """A large buffer does not come where the last one was, though a small one has been between them."""
    allocator = RestingAllocator(100)
    first = allocator.take(30)
    small = allocator.take(10)
    assert first is not None and small is not None
    allocator.free(first, 30)
    allocator.free(small, 10)
    second = allocator.take(30)
    assert second is not None and second >= 40


def tile(rows: int, layer: int = 0) -> list[Operation]:
    """Load some rows and their weights, convolve, requantize, store."""
    x, w = Buffer(Memory.ACTIVATION, rows), Buffer(Memory.WEIGHT, 8)
    sums, y = Buffer(Memory.ACCUMULATOR, 4), Buffer(Memory.OUTPUT, 4)

    def use(buffer: Buffer, write: bool = False) -> Access:
        return Access(buffer, 0, 1, buffer.rows, buffer.rows, write)

    made = [
        Operation(Opcode.LOAD, {}, accesses=(use(x, True),)),
        Operation(Opcode.LOAD, {}, accesses=(use(w, True),)),
        Operation(Opcode.CONVOLVE, {}, accesses=(use(x), use(w), use(sums, True))),
        Operation(Opcode.REQUANTIZE, {}, accesses=(use(sums), use(y, True))),
        Operation(Opcode.STORE, {}, accesses=(use(y),)),
    ]
    for operation in made:
        operation.layer = layer
    return made


def assert_valid(natural: list[Operation], order: list[Operation]) -> None:
    """Same operations, each unit's in order, LOADs those of one memory, buffers apart while they live."""
    assert set(map(id, natural)) == set(map(id, order))

    def queue(operation: Operation) -> tuple[Unit, Memory | None]:
        return operation.unit, operation.accesses[0].buffer.memory if operation.unit == Unit.LOAD else None

    for each in set(map(queue, natural)):
        assert [o for o in natural if queue(o) == each] == [o for o in order if queue(o) == each]
    ends = {access.buffer: n for n, o in enumerate(order) for access in o.accesses}
    held: dict[tuple[Memory, int], Buffer] = {}
    for n, operation in enumerate(order):
        for access in operation.accesses:
            buffer = access.buffer
            for row in range(buffer.address, buffer.address + buffer.rows):
                holder = held.setdefault((buffer.memory, row), buffer)
                assert holder is buffer or ends[holder] < n
                held[buffer.memory, row] = buffer


@pytest.mark.parametrize("seed", range(20))
def test_order_and_rows_of_random_tiles(seed: int) -> None:
    rng = np.random.default_rng(seed)
    natural = [o for n in range(30) for o in tile(int(rng.integers(1, 65)), n // 7)]
    assert_valid(natural, schedule(natural, DEPTHS, 64))


def test_loads_run_ahead_as_far_as_rows_and_queue_allow() -> None:
    natural = [o for _ in range(30) for o in tile(2)]
    order = schedule(natural, DEPTHS, 64)
    assert_valid(natural, order)
    for n, operation in enumerate(order):
        if operation.unit == Unit.CONVOLVE:
            mine = natural.index(operation)
            ahead = sum(o.unit == Unit.LOAD and natural.index(o) > mine for o in order[:n])
            remaining = sum(o.unit == Unit.LOAD for o in natural[mine:])
            assert ahead == min(LOOKAHEAD, remaining)
    wide = [o for _ in range(4) for o in tile(64)]
    order = schedule(wide, DEPTHS, 64)
    units = [operation.unit for operation in order if operation.accesses[0].buffer.memory != Memory.WEIGHT]
    assert units[:4] == [Unit.LOAD, Unit.CONVOLVE, Unit.LOAD, Unit.POST_PROCESS], "no room until CONVOLVE has read"


def test_a_load_stays_behind_the_store_that_writes_its_bytes() -> None:
    first, second = tile(2), tile(2)
    first[4].transfer = Transfer(64, 1, 0, 1, 0, 40)
    second[0].transfer = Transfer(100, 1, 0, 1, 0, 40)
    order = schedule(first + second, DEPTHS, 256)
    assert order.index(second[0]) > order.index(first[4])
    second[0].transfer = Transfer(128, 1, 0, 1, 0, 40)
    order = schedule(first + second, DEPTHS, 256)
    assert order.index(second[0]) < order.index(first[4])


def test_the_accumulators_halves_take_turns() -> None:
    natural = [o for _ in range(6) for o in tile(2)]
    order = schedule(natural, DEPTHS, 64)
    starts = [a.buffer.address for o in order for a in o.accesses if a.buffer.memory == Memory.ACCUMULATOR and a.write]
    assert all(a // 32 != b // 32 for a, b in pairwise(starts))


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(NoRoomError) as caught:
        schedule(tile(2) + tile(65, 3), DEPTHS, 64)
    assert (caught.value.layer, caught.value.memory, caught.value.rows) == (3, Memory.ACTIVATION, 65)
