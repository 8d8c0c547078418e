"""``lockstep simulate``: a model in the simulated RTL, compared with the machine."""

from __future__ import annotations

from importlib import import_module
from os import PathLike
from pathlib import Path

from ..console import Output, Phases
from ..execution import Execution
from ..execution_report import as_dict, show
from ..files import check_writable
from .run import prepare

SAMPLES = 4
"""Random samples that are run unless inputs or another number are given."""


def run(
    model: Path,
    inputs: Path | None,
    config_file: Path | None,
    samples: int | None,
    simulator: str,
    trace: Path | None,
    override: bool,
    json_file: str | None,
) -> bool:
    """Run a model in emulator, machine and RTL; returns whether they agree in every code, counter, byte and cycle."""
    output = Output(json_file)
    import_module("rtl.simulation").find_simulator(simulator)
    if trace is not None:
        check_writable(trace)
        if trace.suffix not in (".fst", ".vcd"):
            raise ValueError(f"trace must be a file named *.fst or *.vcd, not {trace.name!r}")
    if samples is None and inputs is None:
        samples = SAMPLES
    execution = prepare(model, inputs, config_file, samples, override)
    simulate_execution(execution, None, simulator, trace)
    show(output, execution, model)
    output.finish(as_dict(execution, model, inputs) | {"simulator": simulator})
    return execution.holds


def simulate_execution(
    execution: Execution, samples: int | None, simulator: str, trace: str | PathLike[str] | None = None
) -> None:
    """Run the machine and the RTL on the first `samples` (None: all) with a progress bar.

    The machine says how many cycles the RTL will take, so the second bar counts cycles.
    """
    execution.compile()
    total = min(samples or execution.samples, execution.samples)
    with Phases() as phases:
        with phases.phase("machine", total) as on_step:
            predicted = execution.run_machine(samples, lambda done: on_step(done, total)).cycles
        with phases.phase(f"RTL in {simulator}, cycles", predicted) as on_step:
            execution.run_rtl(samples, lambda cycles: on_step(cycles, predicted), simulator, trace)
