"""What the machine does at once, rows of the array and cycles of CONVOLVE, is what it does one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from emulator import AcceleratorConfig, Arithmetic
from emulator.instructions import INSTRUCTION_BYTES, Instruction, Opcode, instruction
from emulator.machine import Machine, loop
from emulator.machine.array.sums import accumulate
from emulator.machine.compiled import compiled
from emulator.machine.state.state import config_record
from emulator.registers import COUNTERS
from tests.oracle import dot
from tests.programs import fill, memory_image, random_instruction


@compiled
def _accumulate(x: Any, weight: Any, starts: Any, flags: Any, config: Any) -> None:
    accumulate(x, weight, starts, flags, config[0])


@pytest.mark.parametrize("overflow", ["saturate", "wrap"])
@pytest.mark.parametrize("bits", [8, 20, 24, 32, 48])
def test_sums_are_those_of_steps_in_order(bits: int, overflow: str) -> None:
    rng, limit = np.random.default_rng([bits, len(overflow)]), 1 << (bits - 1)
    flagged = 0
    for rows, columns in ((1, 1), (3, 11), (7, 8), (8, 7), (9, 9), (16, 16), (17, 25)):
        arithmetic = Arithmetic(accumulator_bits=bits, overflow=overflow, multiplier_bits=15)
        config = config_record(AcceleratorConfig(rows=rows, columns=columns, arithmetic=arithmetic))
        for near in (0, 1, 2):  # starts anywhere, at both ends, and where half of the range is left
            x = rng.integers(-255, 256, rows)
            weight = rng.integers(-128, 128, (rows, columns))
            starts = rng.integers(-limit, limit, columns)
            if near:
                starts = rng.choice([-1, 1], columns) * (limit // near - rng.integers(1, 9, columns))
            flags = rng.integers(0, 2, columns).astype(np.uint8)
            expected = [
                dot(x.tolist(), weight[:, c].tolist(), int(starts[c]), 0, bits, overflow) for c in range(columns)
            ]
            wanted = [int(flag) | left for flag, (_, left) in zip(flags, expected, strict=True)]
            sums = starts.astype(np.int64)
            _accumulate(x.astype(np.int32), weight.astype(np.int16), sums, flags, config)
            assert sums.tolist() == [value for value, _ in expected]
            assert flags.tolist() == wanted
            flagged += sum(left for _, left in expected)
    assert flagged


def convolutions(rng: np.random.Generator, config: AcceleratorConfig) -> list[Instruction]:
    """Memories are filled; then convolutions of many positions, each behind the one before, between other work."""
    made = fill(rng, config)
    for _ in range(20):
        height, width, tall, wide = (int(rng.integers(1, high)) for high in (9, 9, 3, 4))
        rows, blocks = (int(rng.integers(low, low + 2)) for low in (1, 0))
        made.append(
            random_instruction(
                Opcode.CONVOLVE, rng, config, 0.0, output_height=height, output_width=width,
                kernel_height=tall, kernel_width=wide, channel_rows=rows, pixel_rows=rows, input_row=0, weight_row=0,
                accumulator_row=int(rng.integers(0, 2)), further_blocks=blocks,
            )
        )  # fmt: skip
        if rng.random() < 0.5:
            count = int(rng.integers(1, 30))
            fixed = {"operand_stride": 0, "output_stride": 1, "byte": 0}
            made.append(random_instruction(Opcode.REQUANTIZE, rng, config, 0.0, count=count, **fixed))
    return [*made, instruction(Opcode.HALT)]


def arrays(state: Any) -> list[np.ndarray]:
    """All that a machine's state is made of."""
    return [state] if isinstance(state, np.ndarray) else [array for part in state for array in arrays(part)]


@pytest.mark.parametrize("rows, columns, bits, weight_zero_points", [(3, 4, 10, 0), (8, 12, 24, 1), (4, 8, 32, 0)])
def test_cycles_at_once_leave_what_cycles_one_by_one_do(
    rows: int, columns: int, bits: int, weight_zero_points: int
) -> None:
    """All registers and memories are compared, at some cycles of the run and at its end."""
    config = AcceleratorConfig(
        rows=rows, columns=columns, activation_scratchpad_bytes=rows * 256, operand_scratchpad_bytes=columns * 64,
        weight_scratchpad_bytes=columns * 32 * rows, output_scratchpad_bytes=columns * 64,
        accumulator_bytes=columns * 4 * 160, weight_zero_points=bool(weight_zero_points),
        arithmetic=Arithmetic(accumulator_bits=bits),
    )  # fmt: skip
    rng = np.random.default_rng([rows, columns])
    for latency in (1, 30, 200):
        program = convolutions(rng, config)
        given = memory_image(program, rng), 0, INSTRUCTION_BYTES * len(program)
        one_by_one, at_once = Machine(config, latency).cycles(*given), next(Machine(config, latency).cycles(*given))
        looked = 0
        for state in one_by_one:
            now = int(state.control["now"][0])
            if rng.random() < 0.02 or not state.control["running"][0]:
                loop.run(at_once, now)
                for mine, other in zip(arrays(at_once), arrays(state), strict=True):
                    np.testing.assert_array_equal(mine, other)
                looked += 1
        assert looked > 30 and state.control["error"][0] == 0
        assert state.counters[COUNTERS.index("convolve_busy")] > 2000
