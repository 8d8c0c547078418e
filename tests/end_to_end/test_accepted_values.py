"""Values that no compiler makes and the hardware accepts, in RTL and machine: limits that cross, any shift."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from emulator.instructions import INSTRUCTION_BYTES, PARAMETER_PITCH, Error, Instruction, Opcode, Target, Unit
from emulator.machine import Machine
from rtl import simulate_images
from tests.end_to_end.configs import CONFIGS
from tests.end_to_end.test_faults import DATA, HALT, RESULT, SIZE, make

POSITIONS = 10
PARAMETERS = 2560
SHIFTS = (24, 63, 64 + 23, 255, 9, 62, 64 + 11)
"""Bytes of the parameter memory, of which the low 6 bits count."""
FROM_LOAD, FROM_POST_PROCESS, FROM_CONVOLVE = (1 << unit for unit in (Unit.LOAD, Unit.POST_PROCESS, Unit.CONVOLVE))


def results(name: str, work: list[Instruction]) -> tuple[np.ndarray, np.ndarray, list[int], list[int]]:
    """Codes in and out (POSITIONS, columns), multipliers and shifts of the lanes; `work` fills the output rows."""
    config, rng = CONFIGS[name], np.random.default_rng(12)
    columns, size = config.columns, POSITIONS * config.columns
    entry_bytes = PARAMETER_PITCH * columns
    program = [
        make(Opcode.LOAD, memory_address=DATA, pixel_bytes=size, target=Target.OPERAND),
        make(Opcode.LOAD, memory_address=PARAMETERS, pixel_bytes=entry_bytes, target=Target.PARAMETER, signal=0b0110),
        *work,
        make(Opcode.STORE, memory_address=RESULT, pixel_bytes=size, wait=FROM_POST_PROCESS),
        HALT,
    ]
    code = b"".join(made.encode() for made in program)
    image = bytearray(code + rng.bytes(SIZE - len(code)))
    assert len(code) <= DATA and DATA + size <= PARAMETERS and PARAMETERS + entry_bytes <= RESULT
    entry = rng.integers(256, size=(PARAMETER_PITCH, columns), dtype=np.uint8)
    entry[8] = np.resize(SHIFTS, columns)
    image[PARAMETERS : PARAMETERS + entry_bytes] = entry.tobytes()
    (machine,) = Machine(config).execute([bytes(image)], program_bytes=[len(program) * INSTRUCTION_BYTES])
    (rtl,) = simulate_images(config, [bytes(image)], program_bytes=[len(program) * INSTRUCTION_BYTES])
    assert not rtl.differences(machine) and machine.error == Error.NONE
    codes, out = (
        np.frombuffer(memory, np.int8, size, address).reshape(POSITIONS, columns)
        for memory, address in ((image, DATA), (machine.memory, RESULT))
    )
    multipliers = [
        int.from_bytes(entry[4:8, lane].tobytes(), "little") % (1 << config.arithmetic.multiplier_bits)
        for lane in range(columns)
    ]
    return codes, out, multipliers, [int(byte) % 64 for byte in entry[8]]


def reduce(**fields: int) -> Instruction:
    shape = {"output_width": POSITIONS, "input_width": POSITIONS, "output_stride": 1, "mode": 3}
    return make(Opcode.REDUCE, **{"y_min": -128, "y_max": 127} | shape | fields)


@pytest.mark.parametrize(("name", "rounded"), [("4x4", round), ("3x11", math.floor)])
def test_any_parameter_entry(name: str, rounded: Callable[[Fraction], int]) -> None:
    assert CONFIGS[name].arithmetic.rounding == {round: "half_even", math.floor: "floor"}[rounded]
    codes, out, multipliers, shifts = results(name, [reduce(wait=FROM_LOAD, signal=1 << Unit.STORE)])
    exact = [
        [
            rounded(Fraction(int(code) * multiplier, 1 << shift))
            for code, multiplier, shift in zip(row, multipliers, shifts, strict=True)
        ]
        for row in codes
    ]
    np.testing.assert_array_equal(out, np.clip(exact, -128, 127))
    assert len(set(out.flat)) > 10


@pytest.mark.parametrize("name", ["4x4", "3x11"])
def test_the_smallest_code_above_the_largest(name: str) -> None:
    adder = make(Opcode.ADDER, a_multiplier=1, b_multiplier=1, y_min=5, y_max=-7)
    for work, code in (
        ([reduce(y_min=9, y_max=-3, wait=FROM_LOAD, signal=1 << Unit.STORE)], -3),
        ([adder, reduce(add=1, wait=FROM_LOAD, signal=1 << Unit.STORE)], -7),
        (
            [
                make(Opcode.CONVOLVE, output_width=POSITIONS, wait=FROM_LOAD, signal=1 << Unit.POST_PROCESS),
                make(
                    Opcode.REQUANTIZE, count=POSITIONS, output_stride=1, y_min=127, y_max=100,
                    wait=FROM_LOAD | FROM_CONVOLVE, signal=1 << Unit.STORE,
                ),
            ],
            100,
        ),
    ):  # fmt: skip
        _, out, _, _ = results(name, work)
        assert (out == code).all()
