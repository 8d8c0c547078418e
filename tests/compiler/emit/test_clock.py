"""Estimated times of operations, and which accesses meet, by hand; the rules by which rows are given."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.emit.schedule.allocator import Allocator, RestingAllocator
from compiler.emit.schedule.clock import Clock, Times, meet
from compiler.emit.schedule.operation import Access, Buffer, Memory, Operation
from emulator.instructions import Opcode, Unit

LOAD_X, LOAD_W, CONVOLVE, REQUANTIZE, STORE = range(5)


def use(buffer: Buffer, write: bool = False, offset: int = 0, rows: int = 4) -> Access:
    return Access(buffer, offset, 1, rows, rows, write)


def one_tile() -> tuple[Clock, dict[str, Buffer]]:
    """Input and weights, a convolution, its codes; units begin at 100, an instruction takes the bus 2 cycles."""
    x, w = Buffer(Memory.ACTIVATION, 4), Buffer(Memory.WEIGHT, 4)
    sums, y = Buffer(Memory.ACCUMULATOR, 4), Buffer(Memory.OUTPUT, 4)
    operations = [
        Operation(Opcode.LOAD, {}, accesses=(use(x, True),)),
        Operation(Opcode.LOAD, {}, accesses=(use(w, True),)),
        Operation(Opcode.CONVOLVE, {}, accesses=(use(x), use(w), use(sums, True))),
        Operation(Opcode.REQUANTIZE, {}, accesses=(use(sums), use(y, True))),
        Operation(Opcode.STORE, {}, accesses=(use(y),)),
    ]
    trips = {Unit.LOAD: 3, Unit.CONVOLVE: 4, Unit.POST_PROCESS: 6}
    clock = Clock(operations, Times([10, 4, 20, 5, 7], tuple(trips.get(unit, 0) for unit in Unit), 100, 2))
    clock.freed = {x: 0, w: 150, sums: 0, y: 190}
    return clock, {"x": x, "w": w, "sums": sums, "y": y}


def test_an_operation_begins_when_its_unit_its_rows_and_its_data_are_there() -> None:
    clock, _ = one_tile()
    starts = []
    for index in range(5):
        starts.append(clock.start(index, -1))
        clock.enter(index, starts[-1])
    assert starts == [
        100,  # from the start on
        150,  # when the weights' rows are free, later than the bus at 110 + 2
        157,  # weights end at 154 and can be read 3 later; the input could at 113
        190,  # the sums can be read at 181, the output's rows are free later
        201,  # codes of 195 can be stored 6 later
    ]
    assert clock.ends == [110, 154, 177, 195, 208]
    assert clock.units == [154 + 4 * 2, 177, 195, 208]  # the LOADs' unit: and four instructions more since


def test_a_load_begins_behind_the_store_of_its_data() -> None:
    clock, _ = one_tile()
    for index in range(1, 5):
        clock.enter(index, clock.start(index, -1))
    assert clock.start(LOAD_X, -1) == 162
    assert clock.start(LOAD_X, STORE) == 208


def test_rows_that_are_not_read_are_not_waited_for() -> None:
    clock, buffers = one_tile()
    clock.written[buffers["x"]] = [(use(buffers["x"], True, 0, 2), 300), (use(buffers["x"], True, 2, 2), 500)]
    clock.operations[CONVOLVE].accesses = (use(buffers["x"], offset=0, rows=2),)
    assert clock.start(CONVOLVE, -1) == 300
    clock.operations[CONVOLVE].accesses = (use(buffers["x"], offset=1, rows=2),)
    assert clock.start(CONVOLVE, -1) == 500


def test_a_unit_does_not_wait_for_its_own_rows() -> None:
    """It executes in order: sums that are carried on were written by the array itself."""
    clock, buffers = one_tile()
    clock.written[buffers["sums"]] = [(use(buffers["sums"], True), 300)]
    clock.operations[CONVOLVE].accesses = (use(buffers["sums"]),)
    assert clock.start(CONVOLVE, -1) == 100
    assert clock.start(REQUANTIZE, -1) == 300


def test_the_soonest_end_is_that_of_the_unit_with_most_work() -> None:
    clock, _ = one_tile()
    assert clock.soonest(STORE, LOAD_X) == 120  # the array's 20
    assert clock.soonest(CONVOLVE, LOAD_X) == 120
    assert clock.soonest(STORE, REQUANTIZE) == 107  # the convolution lies behind: STORE's 7, not REQUANTIZE's 5
    assert clock.soonest(REQUANTIZE, REQUANTIZE) == 105
    clock.enter(CONVOLVE, 157)
    assert clock.soonest(STORE, REQUANTIZE) == 177  # it has begun: the array is not free before
    clock.units[Unit.LOAD] = 1000
    assert clock.soonest(STORE, REQUANTIZE) == 177  # LOADs come in another order, and do not count


BUFFER = Buffer(Memory.OUTPUT, 100)


def rows_of(access: Access) -> set[int]:
    return {access.offset + n * access.pitch + k for n in range(access.count) for k in range(access.width)}


@pytest.mark.parametrize(
    "one, other, expected",
    [
        ((0, 1, 4, 4), (4, 1, 4, 4), False),  # one behind the other
        ((0, 1, 5, 5), (4, 1, 4, 4), True),
        ((0, 4, 4, 2), (2, 4, 4, 2), False),  # side by side in every pitch
        ((0, 4, 4, 2), (1, 4, 4, 2), True),
        ((0, 4, 4, 2), (3, 4, 4, 2), True),  # 3 and 4, of which 4 is the second one's first
        ((0, 4, 4, 2), (14, 4, 4, 2), False),  # behind the last row, 13
        ((0, 4, 4, 1), (1, 4, 3, 1), True),  # other pitches: as far as bounds tell
    ],
)
def test_accesses_meet(one: tuple[int, ...], other: tuple[int, ...], expected: bool) -> None:
    first, second = Access(BUFFER, *one), Access(BUFFER, *other)
    assert meet(first, second) == meet(second, first) == expected


ACCESSES = st.builds(
    lambda offset, count, pitch, width: Access(BUFFER, offset, count, pitch, min(width, pitch)),
    st.integers(0, 20), st.integers(1, 5), st.integers(1, 6), st.integers(1, 6),
)  # fmt: skip


@given(ACCESSES, ACCESSES)
@settings(max_examples=300, deadline=None)
def test_accesses_with_a_row_in_common_meet(one: Access, other: Access) -> None:
    assert meet(one, other) or rows_of(one).isdisjoint(rows_of(other))


def test_small_requests_take_the_next_rows_and_begin_again_at_the_end() -> None:
    allocator = Allocator(100)
    assert [allocator.take(25) for _ in range(3)] == [0, 25, 50]
    allocator.free(0, 25)
    assert allocator.take(20) == 75, "not the rows that are free since just now"
    assert allocator.take(20) == 0
    assert allocator.take(6) is None
    assert allocator.take(5, first_fit=True) == 20
    assert allocator.take(1) == 95


def test_large_requests_take_both_ends_in_turn_and_then_the_one_that_rested() -> None:
    allocator = Allocator(100)
    assert allocator.take(30) == 70
    assert allocator.take(30) == 0
    allocator.free(0, 30)
    allocator.free(70, 30)
    assert allocator.take(30) == 0, "freed before the other one"
    allocator.free(0, 30)
    assert allocator.take(30) == 70


def test_what_rests_longest_is_taken_at_an_end_of_a_free_interval() -> None:
    allocator = RestingAllocator(100)
    assert [allocator.take(10) for _ in range(2)] == [0, 10]
    allocator.free(0, 10)
    assert allocator.take(10) == 20
    allocator.free(20, 10)
    allocator.free(10, 10)
    assert allocator.take(80) == 20, "rows 10 to 19, at the lower end, are those freed last"
    allocator.free(20, 80)
    assert allocator.take(10) == 0
    assert allocator.take(10, first_fit=True) == 10
