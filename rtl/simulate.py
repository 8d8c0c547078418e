"""`simulate`: runs a `Program` on the RTL in a simulator, with the machine emulator's inputs and results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emulator.config import AcceleratorConfig
from emulator.instructions import Error
from emulator.machine import Result, RunRecord, check_images, make_result
from emulator.program import Program, check_program
from emulator.timing import DEFAULT_LATENCY

from .accelerator import accelerator_verilog
from .simulation import SimulationError, build_testbench, run_images

MAX_CYCLES = 1 << 32
"""A run that takes longer is given up."""


def simulate(
    program: Program,
    config: AcceleratorConfig,
    inputs: Mapping[str, NDArray[np.generic]],
    simulator: str = "verilator",
    latency: int = DEFAULT_LATENCY,
    on_progress: Callable[[int], None] | None = None,
    trace: str | PathLike[str] | None = None,
) -> Result:
    """Run the program once per sample on the RTL of `config`; everything in the result is read out of the RTL's memory.

    inputs : graph input name → float32 or int8 codes, batch axis first, the model's layout
    simulator : ``verilator`` or ``icarus``
    latency : cycles from a read's acceptance to its word
    on_progress : called with the number of samples done
    trace : file for a waveform, FST if its name ends in ``.fst``, else VCD

    Raises ``ValueError`` if the program is for another config or an input is wrong, `StoppedError` if the accelerator
    stops with an error, `ToolError` if the simulator is missing, `SimulationError` if the simulation fails.
    """
    check_program(program)
    program.check_config(config)
    records = simulate_images(
        config, program.images(inputs), program.program_address, simulator, latency, on_progress, trace
    )
    return make_result(program, records)


def simulate_images(
    config: AcceleratorConfig,
    images: Sequence[bytes],
    program_address: int | Sequence[int] = 0,
    simulator: str = "verilator",
    latency: int = DEFAULT_LATENCY,
    on_progress: Callable[[int], None] | None = None,
    trace: str | PathLike[str] | None = None,
    max_cycles: int = MAX_CYCLES,
) -> list[RunRecord]:
    """`Machine.execute` in RTL: whatever program lies in each memory image, one after the other on the same hardware.

    Raises what `check_images` and `run_images` raise, and `SimulationError` for a run that does not end within
    `max_cycles` or that reaches outside its memory region.
    """
    addresses = check_images(config, images, program_address)
    if trace is not None and not Path(trace).resolve().parent.is_dir():
        raise FileNotFoundError(2, f"the folder {Path(trace).resolve().parent} does not exist", str(trace))
    testbench = build_testbench(
        [("accelerator.v", accelerator_verilog(config))],
        config.bus_bytes,
        simulator,
        memory_bytes=max(map(len, images), default=1),
        trace=None if trace is None else "fst" if Path(trace).suffix == ".fst" else "vcd",
    )
    runs = run_images(
        testbench,
        images,
        program_address=addresses,
        latency=latency,
        max_cycles=max_cycles,
        reset_every_run=False,
        on_progress=on_progress,
        trace_file=None if trace is None else Path(trace),
    )
    records = []
    for index, run in enumerate(runs):
        if not run.finished:
            raise SimulationError(f"run {index} has not ended within {max_cycles} cycles")
        if run.stray or run.unknown:
            raise SimulationError(f"run {index}: {run.stray} accesses outside of memory, {run.unknown} unknown writes")
        records.append(RunRecord(run.memory, run.cycles, Error(run.error), run.error_index))
    return records
