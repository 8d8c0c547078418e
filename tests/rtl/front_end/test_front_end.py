"""Sequencer, tokens, completion and control registers: RTL against machine on programs of LOAD, STORE and HALT."""

from __future__ import annotations

import numpy as np
import pytest

from emulator import AcceleratorConfig
from emulator.instructions import FORMATS, INSTRUCTION_BYTES, Error, Instruction, Opcode, Unit, instruction
from emulator.machine import Machine, RunRecord
from emulator.registers import STATUS_DONE, STATUS_ERROR, STATUS_RESETTING, STATUS_RUNNING
from rtl.simulate import simulate_images, simulate_plans
from rtl.simulation import Plan
from tests.end_to_end.configs import CONFIGS

CONFIG = CONFIGS["4x4"]
SIZE = 16384
HALT = instruction(Opcode.HALT)
FROM = {unit: 1 << unit for unit in Unit}
"""Bit of `wait` and `signal`."""


def transfer(opcode: Opcode, **fields: int) -> Instruction:
    least = {field.name: max(field.low, 0) for field in FORMATS[opcode]}
    return Instruction(opcode, least | {"memory_address": 9000, "pixel_bytes": 8, "pixel_rows": 2} | fields)


def load(**fields: int) -> Instruction:
    return transfer(Opcode.LOAD, **fields)


def store(**fields: int) -> Instruction:
    return transfer(Opcode.STORE, **fields)


def illegal(opcode: int) -> bytes:
    return bytes([opcode]) + bytes(INSTRUCTION_BYTES - 1)


PROGRAMS: dict[str, tuple[list[Instruction | bytes], Error, int]] = {
    "halt": ([HALT], Error.NONE, 0),
    "more than the queue and the buffer hold": ([load(row=i % 8) for i in range(40)] + [HALT], Error.NONE, 0),
    "tokens": (
        [
            store(signal=FROM[Unit.LOAD]),
            load(wait=FROM[Unit.STORE], signal=FROM[Unit.STORE]),
            store(wait=FROM[Unit.LOAD]),
            HALT,
        ],
        Error.NONE,
        0,
    ),
    "no token": ([load(), load(wait=FROM[Unit.STORE]), HALT], Error.DEADLOCK, 1),
    "both wait": ([load(), store(wait=1), load(wait=8, signal=8), HALT], Error.DEADLOCK, 1),
    "no token and a full queue": ([load(wait=FROM[Unit.STORE])] * 25 + [HALT], Error.DEADLOCK, 0),
    "a token too many": ([load(signal=FROM[Unit.STORE])] * 258 + [HALT], Error.TOKEN, 255),
    "opcode": ([load(), illegal(10), HALT], Error.OPCODE, 1),
    "opcode 0": ([illegal(0), HALT], Error.OPCODE, 0),
    "field": ([load(), load(lines=0), HALT], Error.FIELD, 1),
    "target": ([load(target=6), HALT], Error.FIELD, 0),
    "spare bits": ([load().encode()[:-1] + b"\x80", HALT], Error.FIELD, 0),
    "spare bits of HALT": ([illegal(Opcode.HALT)[:-1] + b"\x01"], Error.FIELD, 0),
    "address": ([store(), load(), load(memory_address=SIZE - 7), HALT], Error.ADDRESS, 2),
    "no HALT": ([load(), load()], Error.PROGRAM_END, 2),
    "nothing": ([], Error.PROGRAM_END, 0),
}


def image(program: list[Instruction | bytes], address: int = 0) -> bytes:
    code = b"".join(made if isinstance(made, bytes) else made.encode() for made in program)
    rng = np.random.default_rng(1)
    return rng.bytes(address) + code + rng.bytes(SIZE - address - len(code))


def both(
    images: list[bytes], lengths: list[int], addresses: list[int], latency: int, seed: int, config: AcceleratorConfig
) -> list[RunRecord]:
    records = Machine(config, latency, seed).execute(images, addresses, lengths)
    rtl = simulate_images(config, images, addresses, lengths, latency=latency, seed=seed)
    assert [mine.differences(other) for mine, other in zip(rtl, records, strict=True)] == [[]] * len(images)
    return records


@pytest.mark.parametrize("name", ["4x4", "5x3", "2x6"])
@pytest.mark.parametrize(("latency", "seed"), [(1, 0), (20, 0xDEADBEEF)])
def test_errors(name: str, latency: int, seed: int) -> None:
    programs = [program for program, _, _ in PROGRAMS.values()]
    lengths = [INSTRUCTION_BYTES * len(program) for program in programs]
    records = both([image(p) for p in programs], lengths, [0] * len(programs), latency, seed, CONFIGS[name])
    found = {title: (r.error, r.error_index) for title, r in zip(PROGRAMS, records, strict=True)}
    assert found == {title: (error, index) for title, (_, error, index) in PROGRAMS.items()}


def test_a_program_outside_of_the_region() -> None:
    """Its end is looked for before the region's."""
    inside = SIZE - 2 * INSTRUCTION_BYTES
    images = [image([load(), load()], inside), image([]), image([load(), load()], inside)]
    records = both(images, [96, 32, 64], [inside, SIZE + 64, inside], 4, 0, CONFIG)
    assert [(r.error, r.error_index) for r in records] == [
        (Error.ADDRESS, 2),
        (Error.ADDRESS, 0),
        (Error.PROGRAM_END, 2),
    ]


def test_a_refused_fetch_counts_when_it_would_be_decoded() -> None:
    program = [load(), load(), HALT]
    for first, error, index in ((32, Error.BUS, 1), (64, Error.BUS, 2), (96, Error.NONE, 0)):
        refused = (first, first + 7)
        machine = Machine(CONFIG, error_range=refused).execute([image(program)], 0, 512)
        rtl = simulate_images(CONFIG, [image(program)], 0, 512, error_range=refused)
        assert rtl[0].differences(machine[0]) == []
        assert (machine[0].error, machine[0].error_index) == (error, index)


def test_soft_reset_drains_and_the_next_run_is_right() -> None:
    program = [load(pixels=20, pixel_stride=8, pixel_rows=0), store(pixels=50, pixel_stride=8, pixel_rows=0)] * 2 + [
        HALT
    ]
    made, length = image(program), INSTRUCTION_BYTES * len(program)
    good = Machine(CONFIG, 9, 77).execute([made], 0, length)[0]
    times = range(5, good.cycles, 29)
    plans = []
    for at in times:
        plans.append(Plan(made, 0, length, latency=9, seed=77, soft_reset_at=at))
        plans.append(Plan(made, 0, length, latency=9, seed=77))
    runs = simulate_plans(CONFIG, plans)
    idle = STATUS_RUNNING | STATUS_RESETTING | STATUS_DONE | STATUS_ERROR
    for at, cut, after in zip(times, runs[::2], runs[1::2], strict=True):
        stopped = Machine(CONFIG, 9, 77).execute([made], 0, length, reset_at=at)[0]
        assert cut.memory == stopped.memory
        assert not cut.registers["status"] & idle and not cut.registers["error"]
        assert not any(cut.counters.values())
        assert after.memory == good.memory and after.counters == good.counters


def test_the_timeline_says_when_each_instruction_began_and_ended() -> None:
    program = [load(signal=FROM[Unit.STORE]), store(wait=FROM[Unit.LOAD]), load(), HALT]
    record = Machine(CONFIG, 5).execute([image(program)], 0, 128, timeline=True)[0]
    assert record.timeline is not None
    assert record.timeline[:, 0].tolist() == [Unit.LOAD, Unit.STORE, Unit.LOAD, -1]
    first, second, third, halt = record.timeline.tolist()
    assert 0 < first[1] < first[2] < second[1] < second[2] < record.cycles
    assert first[1] < third[1] and first[2] < third[2] and halt == [-1, -1, -1]  # LOAD has two under way
