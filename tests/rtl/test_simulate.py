"""`simulate`: the machine's interface in front of the RTL."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compiler import compile_graph
from emulator.instructions import Error, Instruction, Opcode
from emulator.machine import Machine, StoppedError
from rtl import simulate, simulate_images
from rtl.accelerator import accelerator_verilog
from rtl.simulation import SimulationError, build_testbench, run_images
from tests.end_to_end.configs import CONFIGS
from tests.graphs import random_graph

CONFIG = CONFIGS["4x4"]
GRAPH = random_graph(np.random.default_rng(3), CONFIG.arithmetic, size=6)
PROGRAM = compile_graph(GRAPH, CONFIG)


def inputs(batch: int) -> dict[str, np.ndarray]:
    height, width, depth = GRAPH.inputs[0].shape
    return {"input": np.random.default_rng(4).normal(0, 2, (batch, depth, height, width)).astype(np.float32)}


def test_result_progress_and_trace(tmp_path: Path) -> None:
    done: list[int] = []
    machine = Machine(CONFIG).run(PROGRAM, inputs(3))
    rtl = simulate(PROGRAM, CONFIG, inputs(3), on_progress=done.append, trace=tmp_path / "run.vcd")
    assert (tmp_path / "run.vcd").read_text(encoding="ascii").count("$var") > 100
    assert done[-1] == 3
    assert rtl.cycles_per_sample == machine.cycles_per_sample
    assert rtl.memory == machine.memory
    for name, codes in machine.layers.items():
        np.testing.assert_array_equal(rtl.layers[name], codes)
    for kind, layers in machine.counters.items():
        for layer, counts in layers.items():
            np.testing.assert_array_equal(rtl.counters[kind][layer], counts)


def test_latency_is_the_machines(simulator: str) -> None:
    for latency in (1, 2, 33):
        machine = Machine(CONFIG, latency).run(PROGRAM, inputs(1))
        assert simulate(PROGRAM, CONFIG, inputs(1), simulator, latency).cycles == machine.cycles


def test_the_cycle_counter_counts_the_clocks_from_start_to_done() -> None:
    """The accelerator's own counter, which the machine predicts, against the testbench's."""
    verilog = [("accelerator.v", accelerator_verilog(CONFIG))]
    testbench = build_testbench(verilog, CONFIG.bus_bytes, memory_bytes=PROGRAM.memory_bytes)
    broken = PROGRAM.with_instruction(1, Instruction(Opcode.PARAMETERS, {"row": 5000}))
    images = [*PROGRAM.images(inputs(2)), *broken.images(inputs(1))]
    records = run_images(testbench, images, program_address=PROGRAM.program_address, reset_every_run=False)
    assert [record.elapsed for record in records] == [record.cycles for record in records]
    assert [record.error for record in records] == [Error.NONE, Error.NONE, Error.ADDRESS]


def test_a_program_for_another_config_is_refused() -> None:
    with pytest.raises(ValueError, match="the program was compiled for another config"):
        simulate(PROGRAM, CONFIGS["5x3"], inputs(1))


def test_a_wrong_input_is_named() -> None:
    with pytest.raises(ValueError, match="input"):
        simulate(PROGRAM, CONFIG, {"input": np.zeros((1, 1, 1, 1), np.float32)})


def test_an_error_in_the_hardware_names_the_instruction() -> None:
    broken = PROGRAM.with_instruction(1, Instruction(Opcode.PARAMETERS, {"row": 5000}))
    with pytest.raises(StoppedError, match=r"stopped with error ADDRESS at instruction 1 \(PARAMETERS\), sample 0"):
        simulate(broken, CONFIG, inputs(1))


def test_a_run_without_end_is_given_up() -> None:
    with pytest.raises(SimulationError, match="run 0 has not ended within 100 cycles"):
        simulate_images(CONFIG, PROGRAM.images(inputs(1)), PROGRAM.program_address, max_cycles=100)


def test_wrong_arguments_are_named(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="program must be a Program, as compile_graph gives it, not Graph"):
        simulate(GRAPH, CONFIG, inputs(1))
    with pytest.raises(FileNotFoundError, match="does not exist"):
        simulate(PROGRAM, CONFIG, inputs(1), trace=tmp_path / "missing" / "run.vcd")
    with pytest.raises(ValueError, match=r"latency must be an integer from 1 to 1024, not 1\.5"):
        simulate(PROGRAM, CONFIG, inputs(1), latency=1.5)
