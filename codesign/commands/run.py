"""``lockstep run``: a model's outputs from the emulator, and its cycles and counters from the machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from emulator.config import load_config

from ..console import Output, Phases
from ..execution import Execution, load_model
from ..execution.progress import run_machine
from ..execution.report import as_dict, show
from ..execution.timeline import busy_cycles, check_suffix, write_timeline
from ..files import check_writable
from ..inputs import load_inputs, write_npz
from . import SAMPLES


def run(
    model: Path,
    inputs: Path | None,
    config_file: Path | None,
    samples: int | None,
    override: bool,
    file: Path | None,
    timelines: Sequence[Path],
    json_file: str | None,
) -> bool:
    """Run a model in the emulator, and in the machine where a config or a timeline asks for it.

    Returns whether they agree.
    """
    output = Output(json_file)
    for path in timelines:
        check_suffix(path)
        check_writable(path)
    if file is not None:
        check_writable(file)
    if samples is None and inputs is None:
        samples = SAMPLES["run"]
    with Phases() as phases:
        execution = prepare(phases, model, inputs, config_file, samples, override)
        if config_file is not None or timelines:
            run_machine(execution, phases)
    if file is not None:
        write_npz(file, execution.outputs)
    show(output, execution, model)
    result = as_dict(execution, model, inputs)
    if timelines:
        executed = execution.timeline()
        for path in timelines:
            write_timeline(path, executed, execution.compile().instructions, f"{model.name}, first sample")
        result["under_way"] = {unit.name.lower(): cycles for unit, cycles in busy_cycles(executed).items()}
    output.finish(result)
    return execution.holds


def prepare(
    phases: Phases, model: Path, inputs: Path | None, config_file: Path | None, samples: int | None, override: bool
) -> Execution:
    """Read model, config and inputs, and run them in the emulator."""
    config = None if config_file is None else load_config(config_file)
    graph, accelerator = load_model(model, config, override)
    codes = load_inputs(graph, inputs, samples)
    with phases.phase("emulator"):
        return Execution(graph, accelerator, codes)
