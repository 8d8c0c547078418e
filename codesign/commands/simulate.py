"""``lockstep simulate``: a model in the simulated RTL, compared with the machine."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from ..console import Output, Phases
from ..execution import ModelChoice
from ..execution.progress import run_machine, run_rtl
from ..execution.report import as_dict, show
from ..files import check_writable
from . import SAMPLES
from .run import prepare


def run(
    chosen: ModelChoice,
    inputs: Path | None,
    samples: int | None,
    simulator: str,
    trace: Path | None,
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
        samples = SAMPLES["simulate"]
    with Phases() as phases:
        execution = prepare(phases, chosen, inputs, samples)
        run_machine(execution, phases)
        run_rtl(execution, phases, simulator=simulator, trace=trace)
    show(output, execution, chosen.model)
    output.finish(as_dict(execution, chosen.model, inputs) | {"simulator": simulator})
    return execution.holds
