"""The cycles of CONVOLVE, output stationary, as the instruction set's page gives them in numbers."""

from __future__ import annotations

import math

import pytest

from emulator import AcceleratorConfig
from emulator.instructions import FORMATS, INSTRUCTION_BYTES, Error, Instruction, Opcode, instruction
from emulator.machine import Machine

CASES = [(1, 1), (2, 3), (5, 4), (9, 2), (17, 1), (40, 3)]
"""(output positions, weight tiles)."""


def convolve(positions: int, tiles: int, carry: int) -> Instruction:
    least = {field.name: max(field.low, 0) for field in FORMATS[Opcode.CONVOLVE]}
    shape = {"output_width": positions, "input_width": positions, "kernel_width": tiles}
    return Instruction(Opcode.CONVOLVE, least | shape | {"carry": carry})


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 8, 9, 12, 17, 32, 33, 64])
def test_ends(rows: int) -> None:
    config = AcceleratorConfig(
        rows=rows, columns=4, dataflow="output_stationary", activation_scratchpad_bytes=64 * rows,
        weight_scratchpad_bytes=4 * 4 * rows, accumulator_bytes=4 * 4 * 64,
    )  # fmt: skip
    s = math.ceil(math.ceil(math.log2(rows)) / 2)
    a = max(1, rows - 4 - s)
    for positions, tiles in CASES:
        groups = math.ceil(positions / rows)
        busy = groups * (tiles * rows + (rows == 1))
        to_end = busy + 2 * rows + s + 5  # from the first issue
        for carry in (0, 1):
            program = [convolve(positions, tiles, 0), convolve(positions, tiles, carry), instruction(Opcode.HALT)]
            code = b"".join(made.encode() for made in program)
            record = Machine(config).execute([code], 0, len(program) * INSTRUCTION_BYTES, timeline=True)[0]
            assert record.error == Error.NONE and record.timeline is not None
            (_, taken, end), (_, _, next_end), _ = record.timeline.tolist()
            assert end - taken == a + 20 + to_end, (positions, tiles)
            first = taken + a + 20
            follows = first + (busy if busy >= a + 17 else max(busy + rows, a + 17))
            if carry:
                follows = max(first + a + 17, end + a + 4)
            assert next_end == follows + to_end, (positions, tiles, carry)
