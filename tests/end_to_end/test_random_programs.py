"""Random instructions on random memory: machine and RTL leave the same memory, error and cycle counter."""

from __future__ import annotations

import numpy as np
import pytest

from emulator import AcceleratorConfig
from emulator.instructions import FORMATS, Error, Field, Instruction, Opcode
from emulator.machine import Machine
from rtl import simulate_images
from tests.end_to_end.configs import CONFIGS

MEMORY_BYTES = 8192
PROGRAMS = {"verilator": 150, "icarus": 30}
RANGES = {
    "lines": (1, 3), "pixels": (1, 3), "line_stride": (0, 40), "pixel_stride": (0, 40),
    "output_height": (1, 3), "output_width": (1, 3), "kernel_height": (1, 3), "kernel_width": (1, 3),
    "input_height": (1, 5), "input_width": (1, 5), "stride_height": (1, 2), "stride_width": (1, 2),
    "dilation_height": (1, 2), "dilation_width": (1, 2), "pad_top": (-1, 2), "pad_left": (-1, 2),
    "channel_rows": (1, 3), "pixel_rows": (1, 2), "count": (1, 12),
}  # fmt: skip
"""Where most programs run to their end; what is not named takes any value that its bits hold."""


def random_value(field: Field, rng: np.random.Generator, config: AcceleratorConfig) -> int:
    if field.name == "memory_address":
        low, high = 1024, MEMORY_BYTES - 200
    elif field.name == "pixel_bytes":
        low, high = 1, 2 * max(config.rows, config.columns) + 3
    elif field.name.endswith("row"):
        low, high = 0, 8
    else:
        low, high = RANGES.get(field.name, (field.low, field.high))
    if rng.random() < 0.004:
        low, high = (
            (-(1 << (field.bits - 1)), (1 << (field.bits - 1)) - 1) if field.signed else (0, (1 << field.bits) - 1)
        )
    return int(rng.integers(low, high + 1))


def random_program(rng: np.random.Generator, config: AcceleratorConfig) -> bytes:
    """A memory image of random bytes with 20 instructions at its beginning; mostly, the last one is HALT."""
    work = [Opcode.CONVOLVE, Opcode.CONVOLVE, Opcode.REQUANTIZE, Opcode.REQUANTIZE, Opcode.POOL, Opcode.LOAD]
    work += [Opcode.STORE, Opcode.STORE, Opcode.PARAMETERS]
    if config.counters or rng.random() < 0.1:  # without counters an unknown opcode
        work.append(Opcode.COUNTERS)
    opcodes = [Opcode.LOAD] * 4 + [Opcode.PARAMETERS]
    opcodes += [work[int(i)] for i in rng.integers(len(work), size=12)] + [
        Opcode.REQUANTIZE,
        Opcode.STORE,
        Opcode.STORE,
    ]
    made = [Instruction(opcode, {f.name: random_value(f, rng, config) for f in FORMATS[opcode]}) for opcode in opcodes]
    for index, target in enumerate((0, 1, 2)):
        made[index] = Instruction(Opcode.LOAD, {**made[index].fields, "target": target})
    if rng.random() < 0.95:
        made.append(Instruction(Opcode.HALT, {}))
    code = b"".join(instruction.encode() for instruction in made)
    return code + rng.bytes(MEMORY_BYTES - len(code))


@pytest.mark.parametrize("name", CONFIGS)
def test_machine_and_rtl_are_equal(name: str, simulator: str) -> None:
    config, rng = CONFIGS[name], np.random.default_rng(11)
    images = [random_program(rng, config) for _ in range(PROGRAMS[simulator])]
    machine = Machine(config, latency=3).execute(images)
    rtl = simulate_images(config, images, simulator=simulator, latency=3)
    for index, (left, right) in enumerate(zip(rtl, machine, strict=True)):
        ends = [(Error(r.error).name, r.error_index, r.cycles) for r in (left, right)]
        assert ends[0] == ends[1], f"program {index}"
        assert left.memory == right.memory, f"program {index}"
    errors = [record.error for record in machine]
    assert errors.count(Error.NONE) > len(images) // 8
    assert Error.ADDRESS in errors
    assert sum(r.memory != i for r, i in zip(machine, images, strict=True)) > len(images) // 4, "something is stored"
