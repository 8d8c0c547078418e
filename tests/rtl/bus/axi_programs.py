"""Programs whose results depend on no time, and one run of them between a memory and a host."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from emulator import AcceleratorConfig
from emulator.instructions import INSTRUCTION_BYTES, UNIT_OF, Error, Instruction, Opcode, Target, Unit
from emulator.machine import Machine, RunRecord
from emulator.registers import CONTROL_ACKNOWLEDGE
from rtl.accelerator import accelerator_verilog
from rtl.simulation import build
from tests.end_to_end.configs import CONFIGS as SMALL
from tests.end_to_end.test_faults import make
from tests.programs import fill, memory_image, random_instruction

TOP = Path(__file__).with_name("axi_top.v")
CONFIGS = {
    "4x4": SMALL["4x4"],
    "2x6": SMALL["2x6"],
    "3x16": AcceleratorConfig(
        rows=3, columns=16, activation_scratchpad_bytes=3 * 3000, weight_scratchpad_bytes=16 * 40,
        operand_scratchpad_bytes=16 * 640, output_scratchpad_bytes=16 * 640, accumulator_bytes=16 * 2 * 16,
        bus_bytes=16, arithmetic=SMALL["2x6"].arithmetic,
    ),
}  # fmt: skip
"""A bus of 8, 32 and 16 bytes; the last with room for bursts of 256 beats."""
RUNS, WORK = 5, 16
SLOWEST = 60
"""Times as long as in the machine that a run may take."""

PARAMETERS, SOURCE, TARGET, SHORT, AGAIN, SIZE = 1024, 4011, 16299, 28670, 45003, 65536
"""Where `transfers` keeps what it reads and writes, none of it at the beginning of a word; the region's size."""


@dataclass(frozen=True)
class Run:
    """A program in its memory, how the buses behave, and what is done: as in axi_bench.py."""

    image: bytes
    program_bytes: int
    record: RunRecord
    """What the machine makes of it."""
    gaps: str = "none"
    order: int = 0
    refused: tuple[int, int] | None = None
    answer: str = "SLVERR"
    reset_when: tuple[int, int] | None = None
    """Bursts outstanding, reads and writes, at which a soft reset ends the run."""
    afterwards: int = CONTROL_ACKNOWLEDGE


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


def random_runs(config: AcceleratorConfig, rng: np.random.Generator) -> list[Run]:
    """Programs that end well, with what the machine makes of them in a row."""
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
    records = Machine(config).execute(images, 0, lengths)
    return [Run(*made) for made in zip(images, lengths, records, strict=True)]


def transfers(config: AcceleratorConfig) -> list[Instruction]:
    """Codes go through LOAD, REDUCE and STORE, in pixels as long as the scratchpads and, beside that, in short ones."""
    lanes, rows = config.columns, min(config.operand_depth, config.output_depth)
    scattered = {"lines": 4, "pixels": 24, "pixel_stride": 3 * lanes + 1}
    return [
        make(Opcode.LOAD, memory_address=PARAMETERS, pixel_bytes=9 * lanes, target=Target.PARAMETER),
        make(
            Opcode.LOAD, memory_address=SOURCE, pixel_bytes=rows * lanes, target=Target.OPERAND,
            signal=1 << Unit.POST_PROCESS,
        ),
        make(
            Opcode.REDUCE, output_width=rows, input_width=rows, mode=3, y_min=-128, y_max=127, output_stride=1,
            wait=1 << Unit.LOAD, signal=1 << Unit.STORE,
        ),
        make(
            Opcode.STORE, memory_address=TARGET, pixel_bytes=rows * lanes, wait=1 << Unit.POST_PROCESS,
            signal=1 << Unit.LOAD,
        ),
        make(
            Opcode.LOAD, memory_address=SOURCE, line_stride=1000, pixel_bytes=config.rows, **scattered,
            wait=1 << Unit.STORE,
        ),
        make(Opcode.LOAD, memory_address=SOURCE, pixel_bytes=config.activation_scratchpad_bytes),
        make(Opcode.STORE, memory_address=SHORT, line_stride=4096, pixel_bytes=lanes, **scattered),
        make(Opcode.STORE, memory_address=AGAIN, row=1, pixel_bytes=(rows - 1) * lanes),
        make(Opcode.HALT),
    ]  # fmt: skip


def transfer_image(config: AcceleratorConfig, rng: np.random.Generator) -> tuple[bytes, int]:
    """A memory with `transfers`, whose REDUCE keeps the codes, and the program's length."""
    code = b"".join(made.encode() for made in transfers(config))
    image = bytearray(code + rng.bytes(SIZE - len(code)))
    ones = bytes(4 * config.columns) + b"\x01" * config.columns + bytes(4 * config.columns)  # bias 0, 1 / 2⁰
    image[PARAMETERS : PARAMETERS + len(ones)] = ones
    return bytes(image), len(code)


def transfer_run(config: AcceleratorConfig, rng: np.random.Generator, **behaviour: object) -> Run:
    """`transfers` in a memory of its own."""
    refused = behaviour.get("refused")
    image, length = transfer_image(config, rng)
    record = Machine(config, error_range=refused).execute([image], 0, length)[0]
    return replace(Run(image, length, record), **behaviour)


def play(name: str, simulator: str, folder: Path, seed: int, runs: list[Run]) -> list[dict]:
    """What the RTL makes of the runs, one after the other: as axi_bench.py gives it, with the memory afterwards."""
    config = CONFIGS[name]
    sources = [("accelerator.v", accelerator_verilog(config)), (TOP.name, TOP.read_text(encoding="utf-8"))]
    built = build(sources, "axi_top", simulator, parameters={"BUS_BYTES": config.bus_bytes}, cocotb=True)
    plans = []
    for number, run in enumerate(runs, start=1):
        (folder / f"image_{number}.bin").write_bytes(run.image)
        known = {key: value for key, value in vars(run).items() if key not in ("image", "record")}
        patience = 2 * SLOWEST * (run.record.cycles + 2000)
        plans.append({**known, "columns": config.columns, "patience": patience})
    built.run("tests.rtl.bus.axi_bench", folder, {"seed": seed, "runs": plans})
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    for number, result in enumerate(results, start=1):
        result["memory"] = (folder / f"memory_{number}.bin").read_bytes()
    return results
