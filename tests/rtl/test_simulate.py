"""`simulate`: the machine's interface in front of the RTL."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compiler import compile_graph
from emulator.instructions import Error, Instruction, Opcode
from emulator.machine import Machine, StoppedError
from rtl import simulate, simulate_images
from rtl.simulate import simulate_plans
from rtl.simulation import Plan, SimulationError
from tests.end_to_end.configs import CONFIGS
from tests.graphs import random_graph

CONFIG = CONFIGS["4x4"]
GRAPH = random_graph(np.random.default_rng(3), CONFIG.arithmetic, size=6)
PROGRAM = compile_graph(GRAPH, CONFIG)
BROKEN = PROGRAM.with_instruction(1, Instruction(Opcode.COUNTERS, {"wait": 0, "signal": 0, "output_row": 5000}))
"""COUNTERS beyond the output scratchpad."""


def inputs(batch: int) -> dict[str, np.ndarray]:
    height, width, depth = GRAPH.inputs[0].shape
    return {"input": np.random.default_rng(4).normal(0, 2, (batch, depth, height, width)).astype(np.float32)}


def plans(batch: int, **options: int) -> list[Plan]:
    address, length = PROGRAM.program_address, PROGRAM.program_bytes
    return [Plan(image, address, length, **options) for image in PROGRAM.images(inputs(batch))]


def test_result_progress_and_trace(tmp_path: Path) -> None:
    cycles: list[int] = []
    machine = Machine(CONFIG).run(PROGRAM, inputs(3))
    rtl = simulate(PROGRAM, CONFIG, inputs(3), on_progress=cycles.append, trace=tmp_path / "run.vcd")
    assert (tmp_path / "run.vcd").read_text(encoding="ascii").count("$var") > 100
    assert cycles == sorted(set(cycles)) and cycles[0] == 0 and cycles[-1] == rtl.cycles
    assert rtl.cycles_per_sample == machine.cycles_per_sample
    assert rtl.telemetry == machine.telemetry
    assert rtl.memory == machine.memory
    for name, codes in machine.layers.items():
        np.testing.assert_array_equal(rtl.layers[name], codes)
    for kind, layers in machine.counters.items():
        for layer, counts in layers.items():
            np.testing.assert_array_equal(rtl.counters[kind][layer], counts)


def test_latency_and_stalls_are_the_machines(simulator: str) -> None:
    for latency, seed in ((1, 0), (2, 0xACE1), (33, 12345)):
        machine = Machine(CONFIG, latency, seed).run(PROGRAM, inputs(1))
        rtl = simulate(PROGRAM, CONFIG, inputs(1), simulator, latency, seed=seed)
        assert (rtl.cycles, rtl.telemetry) == (machine.cycles, machine.telemetry)


def test_bytes_and_cycles_are_those_that_the_testbench_counts() -> None:
    (run,) = simulate_plans(CONFIG, plans(1, latency=20))
    assert run.counters["cycles"] == run.elapsed
    assert run.counters["bytes_read"] == run.beats_read * CONFIG.bus_bytes
    assert run.counters["bytes_written"] == run.beats_written * CONFIG.bus_bytes
    assert run.registers["config_hash"] == int(CONFIG.hash()[:8], 16)


def test_a_program_for_another_config_is_refused() -> None:
    with pytest.raises(ValueError, match="the program was compiled for another config"):
        simulate(PROGRAM, CONFIGS["5x3"], inputs(1))


def test_a_wrong_input_is_named() -> None:
    with pytest.raises(ValueError, match="input"):
        simulate(PROGRAM, CONFIG, {"input": np.zeros((1, 1, 1, 1), np.float32)})


def test_an_error_in_the_hardware_names_the_instruction() -> None:
    with pytest.raises(StoppedError, match=r"stopped with error ADDRESS at instruction 1 \(COUNTERS\), sample 0"):
        simulate(BROKEN, CONFIG, inputs(1))


def test_a_run_without_end_is_given_up() -> None:
    with pytest.raises(SimulationError, match="run 0 has not ended within 100 cycles"):
        simulate_images(
            CONFIG, PROGRAM.images(inputs(1)), PROGRAM.program_address, PROGRAM.program_bytes, max_cycles=100
        )


@pytest.mark.parametrize("kind", ["soft", "hard"])
def test_a_reset_in_the_middle_of_a_run(kind: str, simulator: str) -> None:
    """Whatever it interrupts, nothing is written outside of the region, and the next run is the machine's."""
    good = Machine(CONFIG).execute(PROGRAM.images(inputs(1)), PROGRAM.program_address, PROGRAM.program_bytes)[0]
    moments = [3, 40, 400, *map(int, np.random.default_rng(8).integers(50, good.cycles, 5))]
    cut = [plans(1, **{f"{kind}_reset_at": moment})[0] for moment in moments]
    runs = simulate_plans(CONFIG, [plan for each in cut for plan in (each, *plans(1))], simulator)
    for moment, interrupted, run in zip(moments, runs[::2], runs[1::2], strict=True):
        assert not interrupted.finished and interrupted.registers["status"] == 0, moment
        assert interrupted.strays == interrupted.violations == interrupted.unknowns == 0, moment
        assert run.finished and run.registers["error"] == Error.NONE, moment
        assert (run.elapsed, run.counters) == (good.cycles, good.counters), moment
        assert run.memory == good.memory, moment


def test_wrong_arguments_are_named(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="program must be a Program, as compile_graph gives it, not Graph"):
        simulate(GRAPH, CONFIG, inputs(1))
    with pytest.raises(FileNotFoundError, match="does not exist"):
        simulate(PROGRAM, CONFIG, inputs(1), trace=tmp_path / "missing" / "run.vcd")
    with pytest.raises(ValueError, match=r"latency must be an integer from 1 to 1024, not 1\.5"):
        simulate(PROGRAM, CONFIG, inputs(1), latency=1.5)
