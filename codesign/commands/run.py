"""``lockstep run``: a model's outputs from the emulator, and its cycles and counters from the machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..console import Output, Phases
from ..energy import EnergyBreakdown, EnergyTable, access_counts, energy
from ..energy.report import energy_tables
from ..execution import Execution, ModelChoice
from ..execution.progress import run_machine
from ..execution.report import as_dict, show
from ..execution.timeline import busy_cycles, check_suffix, write_timeline
from ..files import check_writable
from ..inputs import load_inputs, write_npz
from . import SAMPLES


def run(
    chosen: ModelChoice,
    inputs: Path | None,
    samples: int | None,
    file: Path | None,
    timelines: Sequence[Path],
    json_file: str | None,
    energies: EnergyTable | None = None,
) -> bool:
    """Run a model in the emulator, and in the machine where a config, a timeline or energies ask for it.

    energies : constants by which a sample's energy is shown, or None

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
        execution = prepare(phases, chosen, inputs, samples)
        if chosen.config is not None or timelines or energies is not None:
            run_machine(execution, phases)
    if file is not None:
        write_npz(file, execution.outputs)
    show(output, execution, chosen.model)
    result = as_dict(execution, chosen.model, inputs)
    if timelines:
        executed = execution.timeline()
        layers = [(row.name, row.start, row.end) for row in execution.profile()]
        title = f"{chosen.model.name}, first sample"
        for path in timelines:
            write_timeline(path, executed, execution.compile().instructions, title, layers)
        result["under_way"] = {unit.name.lower(): cycles for unit, cycles in busy_cycles(executed).items()}
    if energies is not None:
        breakdown = sample_energy(execution, energies)
        output.show(*energy_tables(breakdown))
        result["energy"] = breakdown.as_dict()
    output.finish(result)
    return execution.holds


def sample_energy(execution: Execution, energies: EnergyTable) -> EnergyBreakdown:
    """The energy of one sample's run, layer by layer; what is static, for the first sample's cycles in the machine."""
    program, config = execution.compile(), execution.config
    cycles = execution.machine.cycles_per_sample[0] if execution.machine is not None else 0
    return energy(access_counts(program, config), config, energies, program.layers, cycles)


def prepare(phases: Phases, chosen: ModelChoice, inputs: Path | None, samples: int | None) -> Execution:
    """Read model, config and inputs, and run them in the emulator."""
    graph, accelerator = chosen.load()
    codes = load_inputs(graph, inputs, samples)
    with phases.phase("emulator"):
        return Execution(graph, accelerator, codes)
