"""What stops the accelerator: in RTL and machine the same code, instruction and cycle; then a good program runs."""

from __future__ import annotations

import numpy as np
import pytest

from emulator.instructions import FORMATS, INSTRUCTION_BYTES, Error, Instruction, Opcode, Unit, instruction
from emulator.machine import Machine
from rtl import simulate_images
from tests.end_to_end.configs import CONFIGS

CONFIG = CONFIGS["4x4"]
SIZE = 4096
DATA = 2048
"""Where the programs' data begin; a good program stores its result at RESULT."""
RESULT = 3072
HALT = instruction(Opcode.HALT)


def make(opcode: Opcode, **fields: int) -> Instruction:
    """An instruction whose other fields have their smallest harmless value."""
    return Instruction(opcode, {f.name: max(f.low, 0) for f in FORMATS[opcode]} | fields)


def word(instruction: Instruction, bit: int | None = None) -> bytes:
    """The instruction's bytes, on request with one bit set."""
    return (int.from_bytes(instruction.encode(), "little") | (0 if bit is None else 1 << bit)).to_bytes(32, "little")


GOOD = [
    make(Opcode.LOAD, memory_address=DATA, pixel_bytes=40, target=2),
    make(Opcode.LOAD, memory_address=DATA + 64, pixel_bytes=36, target=3, signal=1 << Unit.POST_PROCESS),
    make(
        Opcode.REDUCE, output_width=10, input_width=10, mode=3, y_min=-128, y_max=127, output_stride=1,
        wait=1 << Unit.LOAD, signal=1 << Unit.STORE,
    ),
    make(Opcode.STORE, memory_address=RESULT, pixel_bytes=40, wait=1 << Unit.POST_PROCESS),
    HALT,
]  # fmt: skip
"""Copies 40 codes through every unit but CONVOLVE."""

STORE = make(Opcode.STORE, memory_address=RESULT)
FAULTS: dict[str, tuple[list[bytes | Instruction], Error, int]] = {
    "unknown opcode": ([STORE, bytes([99]) + bytes(31), STORE, HALT], Error.OPCODE, 1),
    "zero opcode": ([bytes(32), HALT], Error.OPCODE, 0),
    "field too small": ([make(Opcode.REQUANTIZE, count=0), HALT], Error.FIELD, 0),
    "field too large": ([make(Opcode.LOAD, memory_address=DATA, target=6), HALT], Error.FIELD, 0),
    "field of another config": ([make(Opcode.REQUANTIZE, count=1, byte=1), HALT], Error.FIELD, 0),
    "multiplier of another adder": ([STORE, make(Opcode.ADDER, multiplier=1 << 30), HALT], Error.FIELD, 1),
    "spare bit": ([word(STORE, 250), HALT], Error.FIELD, 0),
    "spare bit of HALT": ([word(HALT, 9)], Error.FIELD, 0),
    "end of the program": ([STORE, STORE], Error.PROGRAM_END, 2),
    "LOAD beyond the region": ([make(Opcode.LOAD, memory_address=SIZE - 4, pixel_bytes=5), HALT], Error.ADDRESS, 0),
    "LOAD at the end of addresses": ([make(Opcode.LOAD, memory_address=(1 << 32) - 4, pixel_bytes=8), HALT],
                                     Error.ADDRESS, 0),
    "LOAD beyond a scratchpad": ([make(Opcode.LOAD, memory_address=DATA, row=59, pixel_bytes=5), HALT],
                                 Error.ADDRESS, 0),
    "STORE beyond the region": ([STORE, make(Opcode.STORE, memory_address=SIZE - 8, lines=2, line_stride=8), HALT],
                                Error.ADDRESS, 1),
    "STORE beyond the scratchpad": ([make(Opcode.STORE, memory_address=RESULT, row=30), HALT], Error.ADDRESS, 0),
    "CONVOLVE: accumulators": ([make(Opcode.CONVOLVE, accumulator_row=40), HALT], Error.ADDRESS, 0),
    "CONVOLVE: weights": ([make(Opcode.CONVOLVE, weight_row=37), HALT], Error.ADDRESS, 0),
    "CONVOLVE: activations": ([make(Opcode.CONVOLVE, input_row=58, output_width=4, input_width=4), HALT],
                              Error.ADDRESS, 0),
    "REQUANTIZE: accumulators": ([make(Opcode.REQUANTIZE, accumulator_row=38, count=3, output_stride=1), HALT],
                                 Error.ADDRESS, 0),
    "REQUANTIZE: operands": ([make(Opcode.REQUANTIZE, operand_row=40, add=1), HALT], Error.ADDRESS, 0),
    "REQUANTIZE: output": ([make(Opcode.REQUANTIZE, output_row=29, count=2, output_stride=1), HALT],
                           Error.ADDRESS, 0),
    "REDUCE: operands": ([make(Opcode.REDUCE, input_row=39, output_width=2, input_width=2), HALT], Error.ADDRESS, 0),
    "COUNTERS: output": ([make(Opcode.COUNTERS, output_row=19), HALT], Error.ADDRESS, 0),
    "a token that nobody gives": ([STORE, make(Opcode.STORE, memory_address=RESULT, wait=1), HALT],
                                  Error.DEADLOCK, 1),
    "a circle of tokens": (
        [
            make(Opcode.LOAD, memory_address=DATA, wait=1 << Unit.STORE, signal=1 << Unit.STORE),
            make(Opcode.STORE, memory_address=RESULT, wait=1 << Unit.LOAD, signal=1 << Unit.LOAD),
            HALT,
        ], Error.DEADLOCK, 0),
    "a full queue that never moves": ([make(Opcode.STORE, memory_address=RESULT, wait=2)] * 20 + [HALT],
                                      Error.DEADLOCK, 0),
    "two errors, the earlier instruction is later": (
        [
            make(Opcode.LOAD, memory_address=DATA, lines=40, line_stride=(SIZE - DATA) // 32, pixel_bytes=4),
            make(Opcode.COUNTERS, output_row=40),
            HALT,
        ],
        Error.ADDRESS, 1),
}  # fmt: skip


def image(program: list[bytes | Instruction]) -> tuple[bytes, int]:
    """A memory with the program at its beginning, and the program's length."""
    code = b"".join(made if isinstance(made, bytes) else made.encode() for made in program)
    data = bytearray(code + np.random.default_rng(len(code)).bytes(SIZE - len(code)))
    data[DATA + 64 : DATA + 100] = bytes(16) + b"\x01" * 4 + bytes(16)  # bias 0, multiplier 1, shift 0
    return bytes(data), len(code)


def run_both(programs: list[list[bytes | Instruction]], simulator: str, **memory: object) -> list:
    """Machine and RTL run the programs one after the other; all records are equal."""
    images, lengths = zip(*(image(program) for program in programs), strict=True)
    machine = Machine(CONFIG, **memory).execute(images, program_bytes=lengths)
    rtl = simulate_images(CONFIG, images, program_bytes=lengths, simulator=simulator, **memory)
    for index, (left, right) in enumerate(zip(rtl, machine, strict=True)):
        assert not left.differences(right), f"program {index}: {left.differences(right)}"
    return list(zip(images, machine, strict=True))


def assert_good(before: bytes, record) -> None:
    assert record.error == Error.NONE
    assert record.memory[RESULT : RESULT + 40] == before[DATA : DATA + 40]
    assert record.memory[:RESULT] == before[:RESULT] and record.memory[RESULT + 40 :] == before[RESULT + 40 :]


def test_each_fault_stops_with_its_code_and_the_next_program_runs(simulator: str) -> None:
    programs = [program for bad, _, _ in FAULTS.values() for program in (bad, GOOD)]
    results = run_both(programs, simulator)
    for name, (before, bad), good in zip(FAULTS, results[::2], results[1::2], strict=True):
        _, error, index = FAULTS[name]
        assert (bad.error, bad.error_index) == (error, index), name
        assert bad.memory[:RESULT] == before[:RESULT], f"{name}: nothing but the good stores is written"
        assert_good(*good)


def test_a_token_too_many(simulator: str) -> None:
    """255 tokens are as many as a counter holds."""
    give = make(Opcode.LOAD, memory_address=DATA, signal=1 << Unit.STORE)
    words = b"".join(made.encode() for made in [give] * 257 + [HALT])
    for count, error in ((255, Error.NONE), (256, Error.TOKEN)):
        code = words[: count * INSTRUCTION_BYTES] + HALT.encode()
        memory = code + bytes(16384 - len(code))
        machine = Machine(CONFIG).execute([memory], program_bytes=len(code))[0]
        rtl = simulate_images(CONFIG, [memory], program_bytes=len(code), simulator=simulator)[0]
        assert not rtl.differences(machine)
        assert machine.error == error
        if error == Error.TOKEN:
            assert machine.error_index == 255


@pytest.mark.parametrize(
    ("touched", "index"),
    [((DATA, DATA + 3), 0), ((RESULT + 39, RESULT + 39), 3), ((96, 127), 3)],
    ids=["a read", "a write", "a fetch"],
)
def test_an_error_response_of_the_bus(touched: tuple[int, int], index: int, simulator: str) -> None:
    ((before, bad),) = run_both([GOOD], simulator, error_range=touched)
    assert (bad.error, bad.error_index) == (Error.BUS, index)
    assert bad.memory[:RESULT] == before[:RESULT]
