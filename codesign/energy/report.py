"""A breakdown of energy for people: layer by layer, and memory by memory."""

from __future__ import annotations

from collections.abc import Mapping

from ..table import Table, percent
from .energy import EnergyBreakdown

SHOWN = {
    "array": ("array",),
    "accumulators": ("accumulators",),
    "scratchpads": ("activation_scratchpad", "weight_scratchpad", "operand_scratchpad", "output_scratchpad"),
    "post": ("parameters", "tables", "post_processing"),
    "fetch": ("instruction_fetch",),
    "memory": ("dram",),
}
"""Column of the layers' table → the units that it adds up."""
UNITS = {"mJ": 1e9, "µJ": 1e6, "nJ": 1e3, "pJ": 1.0}


def energy_tables(breakdown: EnergyBreakdown) -> list[Table]:
    """The layers, a column for each group of units; and every unit and memory with its share of the whole."""
    unit = next((name for name, pj in UNITS.items() if breakdown.total >= pj), "pJ")
    title = f"Energy of a sample in {unit}: a model, exact counts times constants ({breakdown.table.name})"
    layers = Table(title, ("layer", *SHOWN, "all"))

    def shown(pj: float) -> str:
        return f"{pj / UNITS[unit]:.3f}"

    def add(name: str, units: Mapping[str, float]) -> None:
        groups = [sum(units[member] for member in group) for group in SHOWN.values()]
        layers.add(name, *map(shown, groups), shown(sum(units.values())))

    for layer, units in breakdown.layers.items():
        add(layer or "HALT", units)
    if "static" in breakdown.units:
        layers.add("static", *[None] * len(SHOWN), shown(breakdown.units["static"]))
    add("all", breakdown.units)

    memories = Table(f"Units and memories, in {unit}", ("unit", unit, "share"))
    for name, pj in breakdown.units.items():
        memories.add(name.replace("_", " "), shown(pj), percent(pj / breakdown.total if breakdown.total else 0.0))
    return [layers, memories]
