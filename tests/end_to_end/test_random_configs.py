"""Random accelerators: random programs and networks on each, machine = RTL in memory, error, counters and cycles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from compiler import CompileError, compile_graph
from emulator import AcceleratorConfig, run_graph
from emulator.instructions import INSTRUCTION_BYTES, Error
from emulator.machine import Machine, RunRecord, make_result
from rtl import simulate_images
from tests.graphs import random_arithmetic, random_config, random_graph, version_2_arithmetic, with_version_2
from tests.programs import memory_image, random_program

SEEDS_PER_CONFIG = 3
"""Seeds of other tests for one config of this one: each has to be built."""
PROGRAMS, NETWORKS = 30, 4
SIZES = (*range(1, 10), 16, 17)


def accelerator(rng: np.random.Generator) -> AcceleratorConfig:
    rows, columns = (int(size) for size in rng.choice(SIZES, 2))
    lanes = int(rng.choice([lanes for lanes in range(columns + 1) if not lanes or columns % lanes == 0]))
    taps = (0, 1, 3, 9) if lanes in (0, columns) else (0,)  # columns that share a lane have none
    if rng.random() < 0.5:
        return replace(random_config(rng, random_arithmetic(rng), rows, columns, taps), post_process_lanes=lanes)
    config = random_config(rng, version_2_arithmetic(rng), rows, columns, taps)
    return replace(config, weight_zero_points=True, raw_outputs=bool(rng.random() < 0.5), post_process_lanes=lanes)


def memory_model(rng: np.random.Generator) -> dict[str, int]:
    return {"latency": int(rng.integers(1, 65)), "seed": int(rng.integers(1, 1 << 16)) * int(rng.random() < 0.5)}


@pytest.fixture
def configs(seeds: range) -> list[AcceleratorConfig]:
    return [accelerator(np.random.default_rng([seed, 20])) for seed in range(len(seeds) // SEEDS_PER_CONFIG)]


def test_programs(configs: list[AcceleratorConfig]) -> None:
    errors = []
    for seed, config in enumerate(configs):
        rng = np.random.default_rng([seed, 21])
        programs, memory = [random_program(rng, config) for _ in range(PROGRAMS)], memory_model(rng)
        images = [memory_image(program, rng) for program in programs]
        lengths = [INSTRUCTION_BYTES * len(program) for program in programs]
        errors += [record.error for record in run_both(config, images, [0] * len(images), lengths, memory)]
    assert Error.NONE in errors and len(set(errors)) > 1


def test_networks(configs: list[AcceleratorConfig]) -> None:
    compiled = 0
    for seed, config in enumerate(configs):
        rng = np.random.default_rng([seed, 22])
        cases, memory = [], memory_model(rng)
        for _ in range(NETWORKS):
            graph = random_graph(rng, config.arithmetic, size=7)
            if config.weight_zero_points:
                graph = with_version_2(rng, graph)
            source = graph.inputs[0]
            height, width, depth = source.shape
            x = rng.integers(source.y_min, source.y_max + 1, (1, depth, height, width), dtype=np.int8)
            try:
                program = compile_graph(graph, config)
            except CompileError:
                continue  # a window that these memories cannot hold, or sums that this accelerator does not store
            cases.append((graph, program, x))
        images = [program.images({"input": x})[0] for _, program, x in cases]
        addresses = [program.program_address for _, program, _ in cases]
        lengths = [program.program_bytes for _, program, _ in cases]
        records = run_both(config, images, addresses, lengths, memory)
        for (graph, program, x), record in zip(cases, records, strict=True):
            codes = run_graph(graph, {"input": x}, every=True)
            for layer, made in make_result(program, [record]).layers.items():
                np.testing.assert_array_equal(made, codes[layer], err_msg=f"config {seed}: {layer}")
        compiled += len(cases)
    assert compiled > len(configs) * NETWORKS // 2


def run_both(
    config: AcceleratorConfig, images: list[bytes], addresses: list[int], lengths: list[int], memory: dict[str, int]
) -> list[RunRecord]:
    """Machine and RTL leave the same behind: the RTL's records."""
    machine = Machine(config, **memory).execute(images, addresses, lengths)
    rtl = simulate_images(config, images, addresses, lengths, **memory)
    for index, (left, right) in enumerate(zip(rtl, machine, strict=True)):
        assert not left.differences(right), f"{config}, {memory}, run {index}: {left.differences(right)}"
    return rtl
