"""``lockstep synthesize``: area and clock of an accelerator on an ECP5."""

from __future__ import annotations

import tempfile
from pathlib import Path

from emulator.config import load_config

from ..console import Output, Phases
from ..execution.report import accelerator_name
from ..files import filling_folder
from ..synthesis.synthesize import Synthesis, files, synthesize
from ..table import Table


def run(config_file: Path, seeds: list[int], folder: Path | None, json_file: str | None) -> bool:
    """Synthesize, place and route; show resources and clock. `folder` keeps what the tools wrote; returns True."""
    output = Output(json_file)
    config = load_config(config_file)
    if len(set(seeds)) != len(seeds):
        raise ValueError(f"seeds must be different, not {seeds}")
    steps = 1 + len(seeds)
    place = tempfile.TemporaryDirectory(prefix="lockstep-") if folder is None else filling_folder(folder, files(seeds))
    with place as temporary, Phases() as phases, phases.phase("Yosys and nextpnr") as on_step:
        on_step(0, steps)
        made = synthesize(config, Path(temporary), seeds, lambda done: on_step(done, steps))
    show(output, made)
    output.finish(made.as_dict())
    return True


def show(output: Output, made: Synthesis) -> None:
    """Print resources and clock."""
    parts = {"whole": made.used, "array": made.array, "rest": made.rest, "of the device": made.available}
    table = Table(f"{accelerator_name(made.config)} on an ECP5-85, -6", ("resource", *parts))
    for resource in made.used:
        table.add(resource, *(part[resource] for part in parts.values()))
    table.add("LUTs per element", *(f"{made.luts_per_mac(part):.1f}" for part in list(parts.values())[:3]), None)
    pieces = Table("Parts, by the names of the netlist's cells", ("part", "instances", *made.used))
    for name, (instances, resources) in sorted(made.parts.items(), key=lambda item: -item[1][1]["LUTs"]):
        pieces.add(name or "the rest", instances, *resources.values())
    output.show(pieces, table)
    for seed, clock in made.clocks.items():
        path = made.critical[seed]
        slowest = f", {path['logic_levels']} levels of logic from {path['from']} to {path['to']}" if path else ""
        output.show(f"seed {seed}: {clock:.1f} MHz{slowest}")
    output.show(f"clock: {made.fmax:.1f} MHz, the median of {len(made.clocks)} seeds")
