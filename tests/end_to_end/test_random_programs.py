"""Random instructions on random memory: machine and RTL leave the same memory, error, counters and cycle count."""

from __future__ import annotations

import numpy as np
import pytest

from emulator import AcceleratorConfig
from emulator.instructions import INSTRUCTION_BYTES, Error
from emulator.machine import Machine, RunRecord
from rtl import simulate_images
from rtl.accelerator import accelerator_verilog
from rtl.simulate import simulate_plans
from rtl.simulation import Plan, build_testbench, run_plans
from rtl.simulation.loops import has_loops, roll
from tests.end_to_end.configs import CONFIGS, VERSION_2
from tests.programs import MEMORY_BYTES, memory_image, random_program

PROGRAMS = 20
"""Programs of one seed; Icarus has time for two of them."""


def random_images(seed: int, config: AcceleratorConfig, count: int) -> tuple[list[bytes], list[int]]:
    """Memory images and the lengths of the programs at their beginning."""
    rng = np.random.default_rng([seed, config.rows, config.columns])
    images, lengths = [], []
    for _ in range(count):
        program = random_program(rng, config)
        images.append(memory_image(program, rng))
        lengths.append(INSTRUCTION_BYTES * len(program))
    return images, lengths


@pytest.mark.parametrize("name", [*CONFIGS, *VERSION_2])
def test_machine_and_rtl_are_equal(name: str, simulator: str, seeds: range) -> None:
    """All programs of a seed share a memory: its latency, its stalls, and the bytes that answer with an error."""
    config, ended = (CONFIGS | VERSION_2)[name], list[Error]()
    for seed in seeds:
        memory = {
            "latency": (1, 3, 16, 40)[seed % 4],
            "seed": seed * 77 if seed % 2 else 0,
            "error_range": (MEMORY_BYTES - 1500, MEMORY_BYTES - 1400) if seed % 3 == 2 else None,
        }
        images, lengths = random_images(seed, config, PROGRAMS)
        if simulator == "icarus":
            chosen = one_of_each(Machine(config, **memory).execute(images, program_bytes=lengths), images)
            images, lengths = [images[index] for index in chosen], [lengths[index] for index in chosen]
        machine = Machine(config, **memory).execute(images, program_bytes=lengths)
        rtl = simulate_images(config, images, program_bytes=lengths, simulator=simulator, **memory)
        for index, (left, right) in enumerate(zip(rtl, machine, strict=True)):
            assert not left.differences(right), f"seed {seed}, program {index}: {left.differences(right)}"
        ended += [record.error for record in machine]
        assert any(record.memory != image for record, image in zip(rtl, images, strict=True)), "nothing is stored"
    assert ended.count(Error.NONE) > len(ended) // 3
    assert Error.ADDRESS in ended


def test_the_verilog_as_it_is_runs_as_with_loops() -> None:
    """Verilator gets loops in place of equal instances; the accelerator that is exported has none."""
    config = CONFIGS["3x11"]
    verilog = accelerator_verilog(config)
    assert has_loops(roll(verilog)) and not has_loops(verilog)
    images, lengths = random_images(1, config, PROGRAMS)
    plans = [Plan(image, 0, length, 3, seed=5) for image, length in zip(images, lengths, strict=True)]
    sources = [("accelerator.v", verilog)]
    straight = build_testbench(
        sources, config.bus_bytes, config.columns, memory_bytes=MEMORY_BYTES, straight=True, title="3×11, straight"
    )
    for run, looped in zip(run_plans(straight, plans), simulate_plans(config, plans), strict=True):
        assert np.array_equal(run.lane_counters, looped.lane_counters)
        assert vars(run) | {"lane_counters": None} == vars(looped) | {"lane_counters": None}


def one_of_each(records: list[RunRecord], images: list[bytes]) -> tuple[int, int]:
    """The first program that ends well and has stored something, and the first one that ends with an error."""
    stored = [
        record.error == Error.NONE and record.memory != image for record, image in zip(records, images, strict=True)
    ]
    return stored.index(True), [record.error != Error.NONE for record in records].index(True)
