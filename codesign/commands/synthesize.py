"""``lockstep synthesize``: area and clock of an accelerator on an ECP5, or its area and delay in standard cells."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from emulator.config import AcceleratorConfig, load_config

from ..console import OnStep, Output, Phases
from ..execution.report import accelerator_name
from ..files import filling_folder
from ..synthesis import area, asic
from ..synthesis.area import Area, synthesize_area
from ..synthesis.area_model import load_model, measured_on_this_rtl
from ..synthesis.asic import CellArea, synthesize_cells
from ..synthesis.devices import DEVICES, fits
from ..synthesis.synthesize import Synthesis, files, synthesize
from ..table import Table, percent


def run(
    config_file: Path,
    seeds: list[int] | None,
    folder: Path | None,
    json_file: str | None,
    *,
    area_only: bool = False,
    liberty: Path | None = None,
    bit_area: float | None = None,
) -> bool:
    """Synthesize, and without `area_only` and `liberty` place and route; show resources and clock; returns True.

    seeds : of the placer, None for 1, 2 and 3
    folder : keeps what the tools wrote
    liberty : standard cells to map to
    bit_area : area of a bit of memory in the unit of `liberty`
    """
    output = Output(json_file)
    if seeds and (area_only or liberty is not None):
        raise ValueError("--seed is of the placer, which does not run with --area-only or --liberty")
    if area_only and liberty is not None:
        raise ValueError("--area-only is for an ECP5; leave it out with --liberty, which places nothing either")
    if bit_area is not None and liberty is None:
        raise ValueError("--bit-area is in the unit of a Liberty file, which --liberty names")
    config = load_config(config_file)
    if liberty is not None:
        with _working(folder, asic.FILES, "Yosys") as (place, on_step):
            cells = synthesize_cells(config, liberty, place, bit_area)
            on_step(1, 1)
        _show_cells(output, cells)
        output.finish(cells.as_dict())
    elif area_only:
        with _working(folder, area.FILES, "Yosys") as (place, on_step):
            made = synthesize_area(config, place)
            on_step(1, 1)
        _show_area(output, made)
        output.finish({**made.as_dict(), "predicted": _predicted(config)})
    else:
        placed = _place(config, seeds or [1, 2, 3], folder)
        show(output, placed)
        output.finish(placed.as_dict())
    return True


@contextmanager
def _working(folder: Path | None, names: Collection[str], tools: str) -> Iterator[tuple[Path, OnStep]]:
    """A folder for what the tools write, and what to tell their progress."""
    place = tempfile.TemporaryDirectory(prefix="lockstep-") if folder is None else filling_folder(folder, names)
    with place as temporary, Phases() as phases, phases.phase(tools) as on_step:
        yield Path(temporary), on_step


def _place(config: AcceleratorConfig, seeds: list[int], folder: Path | None) -> Synthesis:
    if len(set(seeds)) != len(seeds):
        raise ValueError(f"seeds must be different, not {seeds}")
    steps = 1 + len(seeds)
    with _working(folder, files(seeds), "Yosys and nextpnr") as (place, on_step):
        on_step(0, steps)
        return synthesize(config, place, seeds, lambda done: on_step(done, steps))


def show(output: Output, made: Synthesis) -> None:
    """Print resources and clock."""
    parts = {"whole": made.used, "array": made.array, "rest": made.rest, "of the device": made.available}
    table = Table(f"{accelerator_name(made.config)} on an ECP5-85, -6: placed", ("resource", *parts))
    for resource in made.used:
        table.add(resource, *(part[resource] for part in parts.values()))
    table.add("LUTs per element", *(f"{made.luts_per_mac(part):.1f}" for part in list(parts.values())[:3]), None)
    output.show(_parts(made.parts), table)
    for seed, clock in made.clocks.items():
        path = made.critical[seed]
        slowest = f", {path['logic_levels']} levels of logic from {path['from']} to {path['to']}" if path else ""
        output.show(f"seed {seed}: {clock:.1f} MHz{slowest}")
    output.show(f"clock: {made.fmax:.1f} MHz, the median of {len(made.clocks)} seeds")


def _show_area(output: Output, made: Area) -> None:
    predicted = load_model().predict(made.config)
    table = Table(
        f"{accelerator_name(made.config)} on an ECP5: synthesized, not placed",
        ("resource", "synthesized", "predicted", "model's error, median", "worst"),
    )
    for resource, count in made.resources.items():
        guess = predicted[resource]
        errors = [None if error is None else percent(error) for error in (guess.error_median, guess.error_worst)]
        table.add(resource, count, guess.value, *errors)
    output.show(_parts(made.parts), table)
    if beyond := predicted["LUTs"].outside:
        output.show(f"outside of what the model is fitted on: {', '.join(beyond)}")
    if not measured_on_this_rtl():
        output.show("the model of area was fitted on an earlier RTL: make it again (docs/area.md)")
    roomy = [device for device in DEVICES if fits(made.resources, device)]
    output.show(f"fits: {', '.join(roomy) or 'none of ' + ', '.join(DEVICES)}")


def _predicted(config: AcceleratorConfig) -> dict[str, Any]:
    return {
        resource: {**asdict(one), "outside": list(one.outside)}
        for resource, one in load_model().predict(config).items()
    }


def _parts(parts: Any) -> Table:
    """LUTs, flip-flops and blocks by part."""
    resources = next(iter(parts.values()))[1]
    pieces = Table("Parts, by the names of the netlist's cells", ("part", "instances", *resources))
    for name, (instances, counts) in sorted(parts.items(), key=lambda item: -item[1][1]["LUTs"]):
        pieces.add(name or "the rest", instances, *counts.values())
    return pieces


def _show_cells(output: Output, made: CellArea) -> None:
    parts = Table("Parts, by the names of the netlist's cells", ("part", "instances", "area", "of the whole"))
    for name, (instances, own) in sorted(made.parts.items(), key=lambda item: -item[1][1]):
        parts.add(name or "the rest", instances, round(own), f"{100 * own / made.area:.1f} %")
    memories = Table("Memories, in no area", ("memory", "instances", "bits of one"))
    for name, (instances, bits) in sorted(made.memories.items(), key=lambda item: -item[1][0] * item[1][1]):
        memories.add(name, instances, bits)
    name = f"{accelerator_name(made.config)} in cells of {made.library}"
    whole = Table(f"{name}; areas in its unit, mostly µm²", ("what", "value"))
    whole.add("area without memories", round(made.area))
    whole.add("bits of memory", made.memory_bits)
    if made.memory_area is not None:
        whole.add(f"estimate of their area, at {made.bit_area:g} a bit", round(made.memory_area))
    whole.add("longest path in logic, ns, without wires", f"{made.delay_ns:.2f}")
    output.show(memories, parts, whole)
