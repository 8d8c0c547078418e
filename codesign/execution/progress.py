"""Machine and RTL of an `Execution`, each with a progress bar."""

from __future__ import annotations

from os import PathLike

from ..console import Phases
from .execution import Execution


def run_machine(execution: Execution, phases: Phases, samples: int | None = None) -> None:
    """Compile the program, and run the first `samples` (None: all) in the machine."""
    total = min(samples or execution.samples, execution.samples)
    with phases.phase("machine", first="compiling for the machine") as on_step:
        execution.run_machine(samples, lambda done: on_step(done, total))


def run_rtl(
    execution: Execution,
    phases: Phases,
    samples: int | None = None,
    simulator: str = "verilator",
    trace: str | PathLike[str] | None = None,
) -> None:
    """Run the first `samples` (None: all) in the RTL: those that the machine ran, whose cycles the bar counts."""
    assert execution.machine is not None
    predicted = execution.machine.cycles
    with phases.phase(f"RTL in {simulator.capitalize()}, cycles", first="building the simulator") as on_step:
        execution.run_rtl(samples, lambda cycles: on_step(cycles, predicted), simulator, trace)
