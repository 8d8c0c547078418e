"""Area and clock of the shipped configs on an ECP5-85F, and what sharing lanes costs a whole network."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from emulator.config import AcceleratorConfig, load_config
from emulator.machine import Machine

from ..networks import macs, resnet50
from ..synthesis.area import synthesize_area
from ..synthesis.synthesize import SITES, Synthesis, synthesize
from ..utilization import random_inputs
from .rows import row

CONFIGS = Path(__file__).parents[1] / "configs"
REFERENCE, LARGE = "ecp5_8x8.toml", "ecp5_16x16.toml"
SHARED_LANES = 2
"""Lanes of the reference's eight columns, where they are shared."""
MOST_LUTS, MOST_SHARED_LUTS, MOST_POINTS_LOST = 20_000, 14_500, 0.3
LEAST_MHZ, LEAST_LARGE_MHZ = 125, 80
LATENCY = 32
"""Cycles from a read's address to its first beat, of the network's run."""


def rows() -> list[dict[str, Any]]:
    """The table's rows: {"name", "value", "unit", "target", "holds"}; half an hour and more on two cores."""
    reference, large = (load_config(CONFIGS / name) for name in (REFERENCE, LARGE))
    shared = replace(reference, post_process_lanes=SHARED_LANES)
    return [*areas(reference, shared), *sharing(reference, shared), *clocks(reference), *fitting(large)]


def areas(reference: AcceleratorConfig, shared: AcceleratorConfig) -> list[dict[str, Any]]:
    """LUTs after synthesis, with a lane for each column and with shared ones."""
    made = []
    for config, name, most in (
        (reference, f"{REFERENCE}: LUTs after synthesis", MOST_LUTS),
        (shared, f"the same with {SHARED_LANES} lanes for {reference.columns} columns", MOST_SHARED_LUTS),
    ):
        with tempfile.TemporaryDirectory() as folder:
            luts = synthesize_area(config, Path(folder)).resources["LUTs"]
        made.append(row(name, luts, "LUTs", f"≤ {most:,}", luts <= most))
    return made


def sharing(reference: AcceleratorConfig, shared: AcceleratorConfig) -> list[dict[str, Any]]:
    """How many points of the array's utilization on ResNet-50 shared lanes cost."""
    from compiler import compile_graph

    graph = resnet50(reference.arithmetic)
    inputs, used = random_inputs(graph), []
    for config in (reference, shared):
        cycles = Machine(config, LATENCY).run(compile_graph(graph, config), inputs).cycles
        used.append(100 * macs(graph) / (cycles * config.rows * config.columns))
    lost = used[0] - used[1]
    what = f"ResNet-50 on {REFERENCE}: utilization"
    return [
        row(what, used[0], "%"),
        row(f"{what} lost by {SHARED_LANES} lanes", lost, "points", f"≤ {MOST_POINTS_LOST}", lost <= MOST_POINTS_LOST),
    ]


def clocks(reference: AcceleratorConfig) -> list[dict[str, Any]]:
    """The reference's clock, placed and routed."""
    with tempfile.TemporaryDirectory() as folder:
        made = synthesize(reference, Path(folder))
    each = ", ".join(f"{clock:.1f}" for clock in made.clocks.values())
    name = f"{REFERENCE}: clock, median of seeds {', '.join(map(str, made.clocks))} ({each})"
    return [row(name, made.fmax, "MHz", f"≥ {LEAST_MHZ}", made.fmax >= LEAST_MHZ)]


def fitting(large: AcceleratorConfig) -> list[dict[str, Any]]:
    """Whether the large array fits, and its clock."""
    what = f"{LARGE}: {large.rows}×{large.columns}, placed and routed on an ECP5-85F"
    with tempfile.TemporaryDirectory() as folder:
        try:
            made: Synthesis = synthesize(large, Path(folder), seeds=(1,))
        except RuntimeError as error:
            return [row(what, str(error), "", f"≥ {LEAST_LARGE_MHZ} MHz", False)]
    taken = ", ".join(f"{made.used[name]} of {made.available[name]} {name}" for name in SITES)
    return [row(f"{what} ({taken})", made.fmax, "MHz", f"≥ {LEAST_LARGE_MHZ}", made.fmax >= LEAST_LARGE_MHZ)]
