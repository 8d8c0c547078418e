"""Random networks on random data: operators = machine = RTL, in every layer's codes, every byte of memory, every count
and every cycle; and programs with one field changed, which machine and RTL must treat alike."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from compiler import compile_graph
from emulator import Graph, run_graph_counts
from emulator.instructions import FORMATS, Error, Instruction, Opcode
from emulator.machine import Machine, RunRecord, make_result
from emulator.program import Program
from rtl import simulate_images
from tests.end_to_end.configs import CONFIGS
from tests.graphs import random_graph

SAMPLE = {"verilator": 1, "icarus": 6}
"""One of so many networks and programs is run: Icarus is slow."""
MUTATIONS = 48
LONGEST = 60_000  # cycles of a mutated program that is still worth simulating
MEMORIES = [{"latency": 16, "seed": 0}, {"latency": 1, "seed": 5}, {"latency": 40, "seed": 1234567}]


@functools.cache
def networks(name: str, count: int) -> list[tuple[Graph, Program, np.ndarray]]:
    config, made = CONFIGS[name], []
    for seed in range(count):
        rng = np.random.default_rng([seed, len(name)])
        graph = random_graph(rng, config.arithmetic, size=7)
        source = graph.inputs[0]
        height, width, depth = source.shape
        x = rng.integers(source.y_min, source.y_max + 1, (2, depth, height, width), dtype=np.int8)
        made.append((graph, compile_graph(graph, config), x))
    return made


@pytest.mark.parametrize("name", CONFIGS)
def test_operators_machine_and_rtl_are_equal(name: str, simulator: str, seeds: range) -> None:
    config, images, addresses, lengths = CONFIGS[name], [], [], []
    memory = MEMORIES[list(CONFIGS).index(name) % len(MEMORIES)]
    cases = networks(name, len(seeds))[:: SAMPLE[simulator]]
    for _, program, x in cases:
        made = program.images({"input": x})
        images += made
        addresses += [program.program_address] * len(made)
        lengths += [program.program_bytes] * len(made)
    machine = Machine(config, **memory).execute(images, addresses, lengths)
    rtl = simulate_images(config, images, addresses, lengths, simulator=simulator, **memory)
    assert_same(rtl, machine)
    assert all(record.error == Error.NONE for record in rtl)
    overflowed = 0
    for (graph, program, x), first in zip(cases, range(0, len(rtl), 2), strict=True):
        result = make_result(program, rtl[first : first + 2])
        codes, counts = run_graph_counts(graph, {"input": x})
        for layer, made in result.layers.items():
            np.testing.assert_array_equal(made, codes[layer], err_msg=layer)
        for output, layer in program.outputs.items():
            np.testing.assert_array_equal(result.outputs[output], codes[layer], err_msg=output)
        for layer, overflows in result.counters["overflowed"].items():
            np.testing.assert_array_equal(overflows, counts[layer].overflows, err_msg=layer)
            np.testing.assert_array_equal(result.counters["clipped"][layer], counts[layer].clips, err_msg=layer)
            overflowed += int(overflows.sum())
        # The registers count the same events, so none of padded lanes.
        registers = sum(record.lane_counters.sum(axis=1) for record in rtl[first : first + 2])
        totals = {kind: sum(int(n.sum()) for n in layers.values()) for kind, layers in result.counters.items()}
        assert (registers[0], registers[1] + registers[2]) == (totals["overflowed"], totals["clipped"])
    if config.arithmetic.accumulator_bits <= 16 and config.counters and simulator == "verilator":
        assert overflowed > 0


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


@pytest.mark.parametrize("name", CONFIGS)
def test_mutated_programs_end_alike(name: str, simulator: str) -> None:
    config, rng = CONFIGS[name], np.random.default_rng(7)
    images, addresses, lengths = [], [], []
    cases = networks(name, 6)
    mutations = MUTATIONS // SAMPLE[simulator]
    for index in range(mutations):
        _, program, x = cases[index % len(cases)]
        program = mutated(program, rng)
        image = program.images({"input": x[:1]})[0]
        if Machine(config).execute([image], program.program_address, program.program_bytes)[0].cycles <= LONGEST:
            images.append(image)
            addresses.append(program.program_address)
            lengths.append(program.program_bytes)
    machine = Machine(config).execute(images, addresses, lengths)
    assert_same(simulate_images(config, images, addresses, lengths, simulator=simulator), machine)
    errors = [record.error for record in machine]
    assert len(images) > mutations // 2
    assert simulator == "icarus" or (Error.NONE in errors and Error.ADDRESS in errors)


def assert_same(rtl: list[RunRecord], machine: list[RunRecord]) -> None:
    """Memory images, errors, counters and cycles, run by run."""
    for index, (left, right) in enumerate(zip(rtl, machine, strict=True)):
        assert not left.differences(right), f"run {index}: {left.differences(right)}"
