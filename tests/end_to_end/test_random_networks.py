"""Random networks on random data: operators = machine = RTL, in every layer's codes, every byte of memory, every count
and every cycle; and programs with one field changed, which machine and RTL must treat alike."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from emulator.instructions import FORMATS, Error, Instruction, Opcode
from emulator.machine import Machine
from emulator.program import Program
from rtl import simulate_images
from tests.end_to_end.configs import CONFIGS, VERSION_2
from tests.end_to_end.whole_way import Case, assert_same, compiled, run_everywhere
from tests.graphs import random_graph, with_version_2

SAMPLE = {"verilator": 1, "icarus": 6}
"""One of so many networks and programs is run: Icarus is slow."""
MUTATIONS = 48
LONGEST = 60_000  # cycles of a mutated program that is still worth simulating
MEMORIES = [{"latency": 16, "seed": 0}, {"latency": 1, "seed": 5}, {"latency": 40, "seed": 1234567}]


@functools.cache
def networks(name: str, count: int) -> list[Case]:
    config, made = (CONFIGS | VERSION_2)[name], []
    for seed in range(count):
        rng = np.random.default_rng([seed, len(name)])
        graph = random_graph(rng, config.arithmetic, size=7)
        if name in VERSION_2:
            graph = with_version_2(rng, graph)
        source = graph.inputs[0]
        height, width, depth = source.shape
        x = rng.integers(source.y_min, source.y_max + 1, (2, depth, height, width), dtype=np.int8)
        made.append(compiled(graph, config, {"input": x}))
    return made


@pytest.mark.parametrize("name", [*CONFIGS, *VERSION_2])
def test_operators_machine_and_rtl_are_equal(name: str, simulator: str, seeds: range) -> None:
    configs = CONFIGS | VERSION_2
    config, memory = configs[name], MEMORIES[list(configs).index(name) % len(MEMORIES)]
    found = run_everywhere(config, networks(name, len(seeds))[:: SAMPLE[simulator]], simulator, **memory)
    if config.arithmetic.accumulator_bits <= 16 and config.counters and simulator == "verilator":
        assert any(layer.overflows.any() for _, counts in found for layer in counts.values())


def mutated(program: Program, rng: np.random.Generator) -> Program:
    """One field of one instruction changed: to a neighbour, to another legal value, or to anything the bits hold."""
    while True:
        index = int(rng.integers(len(program.instructions)))
        old = program.instructions[index]
        if old.opcode != Opcode.HALT:
            break
    field = FORMATS[old.opcode][int(rng.integers(len(FORMATS[old.opcode])))]
    lowest, highest = (
        (-(1 << (field.bits - 1)), (1 << (field.bits - 1)) - 1) if field.signed else (0, (1 << field.bits) - 1)
    )
    value = old[field.name]
    match int(rng.integers(4)):
        case 0:
            value = int(rng.integers(lowest, highest + 1))
        case 1:
            value += int(rng.choice([-8, 8, 16, 100]))
        case _:
            value += int(rng.choice([-2, -1, 1, 2]))
    value = min(max(value, lowest), highest)
    return program.with_instruction(index, Instruction(old.opcode, {**old.fields, field.name: value}))


@pytest.mark.parametrize("name", [*CONFIGS, *VERSION_2])
def test_mutated_programs_end_alike(name: str, simulator: str) -> None:
    config, rng = (CONFIGS | VERSION_2)[name], np.random.default_rng(7)
    images, addresses, lengths = [], [], []
    cases = networks(name, 6)
    mutations = MUTATIONS // SAMPLE[simulator]
    for index in range(mutations):
        case = cases[index % len(cases)]
        program = mutated(case.program, rng)
        image = program.images(case.inputs)[0]
        if Machine(config).execute([image], program.program_address, program.program_bytes)[0].cycles <= LONGEST:
            images.append(image)
            addresses.append(program.program_address)
            lengths.append(program.program_bytes)
    machine = Machine(config).execute(images, addresses, lengths)
    assert_same(simulate_images(config, images, addresses, lengths, simulator=simulator), machine)
    errors = [record.error for record in machine]
    assert len(images) > mutations // 2
    assert simulator == "icarus" or (Error.NONE in errors and Error.ADDRESS in errors)
