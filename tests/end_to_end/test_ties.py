"""Two units at fault in one cycle: the earlier instruction counts, in RTL and machine.

Two instructions start in one cycle, with tokens of the same third one, and both fail: the steady one always at the
same time, the sweeping one after a number of good steps, each of which delays its fault by as much as the one before.
Where both fail in one cycle the order in the program decides. So the least number of steps with which the steady one's
fault counts is greater by 1 if it comes later in the program; if no cycle were shared, or the order not looked at, the
two numbers would be equal.
"""

from __future__ import annotations

import pytest

from emulator.instructions import Error, Instruction, Opcode, Unit
from tests.end_to_end.test_faults import CONFIG, DATA, HALT, RESULT, SIZE, make, run_both

STEPS = range(1, 16)
STEADY_STEPS = 12


def giver(unit: Unit, *to: Unit) -> Instruction:
    """An instruction that gives tokens when all that follows waits in its queue."""
    signal = sum(1 << other for other in to)
    match unit:
        case Unit.LOAD:
            return make(Opcode.LOAD, memory_address=DATA, pixel_bytes=100, signal=signal)
        case Unit.STORE:
            return make(Opcode.STORE, memory_address=RESULT, pixel_bytes=100, signal=signal)
    return make(Opcode.REDUCE, output_width=20, input_width=20, signal=signal)


def faulty(unit: Unit, good: int, by: Unit) -> Instruction:
    """An instruction that fails after `good` positions or pixels, and waits for unit `by`."""
    positions = {"wait": 1 << by, "output_width": good + 1, "input_width": good + 1}
    pixels = {"wait": 1 << by, "pixels": good + 1, "pixel_stride": 4, "memory_address": SIZE - 4 * good}
    match unit:
        case Unit.LOAD:
            return make(Opcode.LOAD, **pixels)
        case Unit.STORE:
            return make(Opcode.STORE, **pixels)
        case Unit.CONVOLVE:
            return make(Opcode.CONVOLVE, input_row=CONFIG.activation_depth - good, **positions)
    return make(Opcode.REDUCE, input_row=CONFIG.operand_depth - good, **positions)


TRIOS = [
    (Unit.CONVOLVE, Unit.POST_PROCESS, Unit.LOAD),
    (Unit.LOAD, Unit.POST_PROCESS, Unit.STORE),
    (Unit.LOAD, Unit.CONVOLVE, Unit.STORE),
    (Unit.STORE, Unit.POST_PROCESS, Unit.LOAD),
    (Unit.STORE, Unit.CONVOLVE, Unit.LOAD),
    (Unit.LOAD, Unit.STORE, Unit.POST_PROCESS),
]
"""The steady one's unit, the sweeping one's, the one that gives the tokens."""


@pytest.mark.parametrize(("steady", "sweeping", "by"), TRIOS)
def test_the_earlier_instruction_counts(steady: Unit, sweeping: Unit, by: Unit) -> None:
    orders = [(steady, sweeping), (sweeping, steady)]
    steps = [{steady: STEADY_STEPS, sweeping: good} for good in STEPS]
    programs = [
        [giver(by, *order), *(faulty(unit, good[unit], by) for unit in order), HALT]
        for order in orders
        for good in steps
    ]
    records = [record for _, record in run_both(programs, "verilator")]
    assert all(record.error == Error.ADDRESS for record in records)
    counted = [record.error_index for record in records]
    least = []
    for place, found in ((1, counted[: len(STEPS)]), (2, counted[len(STEPS) :])):
        least.append(found.index(place))
        assert found == [3 - place] * least[-1] + [place] * (len(STEPS) - least[-1])
    assert 0 < least[0] == least[1] - 1
