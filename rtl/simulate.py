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
from .simulation import Plan, SimulatedRun, SimulationError, build_testbench, run_plans

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
    seed: int = 0,
) -> Result:
    """Run the program once per sample on the RTL of `config`; everything in the result is read out of the RTL's memory.

    inputs : the model's own, batch axis first, which go through the program's head; without one graph input name →
    float32 or int8 codes, the model's layout
    simulator : ``verilator`` or ``icarus``
    latency : cycles from a read's address to its first beat, and from a write's last beat to its response, 1 to 1024
    on_progress : called with 0 when the simulator is built, then some times a second with the clock cycles simulated
        up to then, all samples together
    trace : file for a waveform, FST if its name ends in ``.fst``, else VCD
    seed : first state of the register that stalls the bus, 32 bits; 0: no stalls

    Raises ``ValueError`` if the program is for another config or an input is wrong, `StoppedError` if the accelerator
    stops with an error, `ToolError` if the simulator is missing, `SimulationError` if the simulation fails.
    """
    check_program(program)
    program.check_config(config)
    images = program.images(inputs)
    records = simulate_images(
        config,
        images,
        program.program_address,
        program.program_bytes,
        simulator=simulator,
        latency=latency,
        seed=seed,
        on_progress=on_progress,
        trace=trace,
    )
    return make_result(program, records, inputs)


def simulate_images(
    config: AcceleratorConfig,
    images: Sequence[bytes],
    program_address: int | Sequence[int] = 0,
    program_bytes: int | Sequence[int] | None = None,
    *,
    simulator: str = "verilator",
    latency: int = DEFAULT_LATENCY,
    seed: int = 0,
    error_range: tuple[int, int] | None = None,
    on_progress: Callable[[int], None] | None = None,
    trace: str | PathLike[str] | None = None,
    max_cycles: int = MAX_CYCLES,
    observable: bool = False,
    work_dir: Path | None = None,
) -> list[RunRecord]:
    """`Machine.execute` in RTL: whatever program lies in each memory image, one after the other on the same hardware.

    error_range : first and last byte of the region to which the memory answers with an error, or None
    observable : in the simulator whose testbench can tell what happens in every cycle
    work_dir : of such a simulator: ``signals.txt`` in this folder gets a line for every cycle of all runs

    Raises what `check_images` and `run_plans` raise, and `SimulationError` where a run does not end within
    `max_cycles`, reaches outside its memory region, breaks the bus's protocol, or counts its cycles wrong.
    """
    plans = [
        Plan(image, address, length, latency, seed, error_range, observed=work_dir is not None)
        for image, (address, length) in zip(
            images, check_images(config, images, program_address, program_bytes), strict=True
        )
    ]
    runs = simulate_plans(
        config,
        plans,
        simulator,
        on_progress=on_progress,
        trace=trace,
        max_cycles=max_cycles,
        observable=observable,
        work_dir=work_dir,
    )
    return [_record(index, run, max_cycles) for index, run in enumerate(runs)]


def simulate_plans(
    config: AcceleratorConfig,
    plans: Sequence[Plan],
    simulator: str = "verilator",
    *,
    on_progress: Callable[[int], None] | None = None,
    trace: str | PathLike[str] | None = None,
    max_cycles: int = MAX_CYCLES,
    threads: int = 1,
    observable: bool = False,
    work_dir: Path | None = None,
) -> list[SimulatedRun]:
    """Runs with stalls, resets and refused addresses on the RTL of `config`, in one simulator."""
    if trace is not None and not Path(trace).resolve().parent.is_dir():
        raise FileNotFoundError(2, f"the folder {Path(trace).resolve().parent} does not exist", str(trace))
    testbench = build_testbench(
        [("accelerator.v", accelerator_verilog(config))],
        config.bus_bytes,
        config.columns,
        simulator,
        memory_bytes=max((len(plan.image) for plan in plans), default=1),
        trace=None if trace is None else "fst" if Path(trace).suffix == ".fst" else "vcd",
        threads=threads,
        signals=observable,
        title=f"{config.rows}×{config.columns}",
    )
    if on_progress is not None:
        on_progress(0)
    return run_plans(
        testbench,
        plans,
        max_cycles=max_cycles,
        on_progress=on_progress,
        trace_file=None if trace is None else Path(trace),
        work_dir=work_dir,
    )


def _record(index: int, run: SimulatedRun, max_cycles: int) -> RunRecord:
    if not run.finished:
        raise SimulationError(f"run {index} has not ended within {max_cycles} cycles")
    if run.strays or run.violations or run.unknowns:
        raise SimulationError(
            f"run {index}: {run.strays} bursts outside of memory, {run.violations} violations of the bus's protocol, "
            f"{run.unknowns} cycles with unknown bits"
        )
    counters = run.counters
    if counters["cycles"] != run.elapsed:
        raise SimulationError(f"run {index}: the accelerator counts {counters['cycles']} cycles, not {run.elapsed}")
    return RunRecord(
        memory=run.memory,
        cycles=run.elapsed,
        error=Error(run.registers["error"]),
        error_index=run.registers["error_index"],
        counters=counters,
        lane_counters=run.lane_counters,
    )
