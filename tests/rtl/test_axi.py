"""The accelerator between a memory and a host that are not ours: cocotbext-axi, with random gaps everywhere.

Cycles are not compared; the bits, and the counters that are no times, must be the machine's.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from emulator import AcceleratorConfig
from emulator.instructions import INSTRUCTION_BYTES, UNIT_OF, Error, Instruction, Opcode
from emulator.machine import Machine, RunRecord
from emulator.registers import STATUS_DONE
from rtl.accelerator import accelerator_verilog
from rtl.simulation import build
from tests.end_to_end.configs import CONFIGS
from tests.programs import fill, memory_image, random_instruction

TOP = Path(__file__).with_name("axi_top.v")
TIMELESS = ("bytes_read", "bytes_written", "macs")
WORK = 16
RUNS = 4
SLOWEST = 40
"""Times as long as in the machine that a run may take."""


def in_turn(program: list[Instruction]) -> list[Instruction]:
    """Tokens that start every instruction when the one before it has ended: no result depends on time."""
    program = list(program)
    for index in range(1, len(program)):
        give, take = (UNIT_OF[program[k].opcode] for k in (index - 1, index))
        if give != take:
            for k, name, bit in ((index - 1, "signal", take), (index, "wait", give)):
                fields = program[k].fields
                program[k] = Instruction(program[k].opcode, {**fields, name: fields[name] | 1 << bit})
    return [*program, Instruction(Opcode.HALT, {})]


def random_runs(config: AcceleratorConfig, rng: np.random.Generator) -> tuple[list[bytes], list[int], list[RunRecord]]:
    """Images with programs that end well, their programs' lengths, and what the machine makes of them in a row."""
    opcodes = [Opcode.LOAD, Opcode.CONVOLVE, Opcode.REQUANTIZE, Opcode.REDUCE, Opcode.STORE, Opcode.ADDER]
    opcodes += [Opcode.COUNTERS] if config.counters else []
    images, lengths = list[bytes](), list[int]()
    while len(images) < RUNS:
        chosen = [opcodes[int(i)] for i in rng.integers(len(opcodes), size=WORK)] + [Opcode.STORE] * 2
        program = in_turn(fill(rng, config) + [random_instruction(opcode, rng, config, 0) for opcode in chosen])
        image = memory_image(program, rng)
        length = len(program) * INSTRUCTION_BYTES
        if Machine(config).execute([image], 0, length)[0].error == Error.NONE:
            images.append(image)
            lengths.append(length)
    return images, lengths, Machine(config).execute(images, 0, lengths)


CASES = [("4x4", "verilator"), ("5x3", "verilator"), ("2x6", "verilator"), ("4x4", "icarus")]


@pytest.mark.parametrize(("name", "simulator"), CASES, indirect=["simulator"])
def test_random_programs_between_strangers(name: str, simulator: str, tmp_path: Path) -> None:
    config = CONFIGS[name]
    rng = np.random.default_rng([9, *name.encode()])
    images, lengths, records = random_runs(config, rng)
    sources = [("accelerator.v", accelerator_verilog(config)), (TOP.name, TOP.read_text(encoding="utf-8"))]
    built = build(sources, "axi_top", simulator, parameters={"BUS_BYTES": config.bus_bytes})
    for number, image in enumerate(images, start=1):
        (tmp_path / f"image_{number}.bin").write_bytes(image)
    plans = [
        {
            "program_address": 0, "program_bytes": length, "columns": config.columns,
            "patience": 2 * SLOWEST * (record.cycles + 1000),
        }
        for length, record in zip(lengths, records, strict=True)
    ]  # fmt: skip
    built.run("tests.rtl.axi_bench", tmp_path, {"seed": int(rng.integers(1 << 32)), "runs": plans})
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    for number, (record, result) in enumerate(zip(records, results, strict=True), start=1):
        assert result["error"] == Error.NONE and result["status"] & STATUS_DONE, f"run {number}"
        assert (tmp_path / f"memory_{number}.bin").read_bytes() == record.memory, f"run {number}"
        assert {name: result["counters"][name] for name in TIMELESS} == {
            name: record.counters[name] for name in TIMELESS
        }, f"run {number}"
        np.testing.assert_array_equal(result["lane_counters"], record.lane_counters)
