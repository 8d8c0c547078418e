"""A point's layers and timeline by columns: names once, numbers side by side, which packs well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

FINEST = 4000
"""Parts of a run's length: gaps in a unit's work on a layer that are shorter than one are not drawn."""


def layer_columns(layers: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Column → a value a layer, None where a row has none; a nested table's columns are ``TABLE.KEY``."""
    rows = [dict(_flat(row)) for row in layers]
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def _flat(row: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    made: list[tuple[str, Any]] = []
    for name, value in row.items():
        made += _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else [(f"{prefix}{name}", value)]
    return made


def timeline_columns(timeline: Sequence[tuple[str, str, int, int]]) -> dict[str, Any]:
    """Units and layers by name, and of each stretch of work its unit, layer, start and length in cycles.

    Stretches of one unit on one layer become one where the gap between them is under the run's length / `FINEST`.
    """
    units = list(dict.fromkeys(unit for unit, *_ in timeline))
    layers = list(dict.fromkeys(layer for _, layer, *_ in timeline))
    gap = max((end for *_, end in timeline), default=0) / FINEST
    last: dict[str, list[Any]] = {}
    stretches: list[list[Any]] = []
    for unit, layer, start, end in sorted(timeline, key=lambda one: one[2]):
        before = last.get(unit)
        if before is not None and before[1] == layer and start - before[3] <= gap:
            before[3] = max(before[3], end)
        else:
            last[unit] = [unit, layer, start, end]
            stretches.append(last[unit])
    return {
        "units": units,
        "layers": layers,
        "unit": [units.index(unit) for unit, *_ in stretches],
        "layer": [layers.index(layer) for _, layer, *_ in stretches],
        "start": [start for *_, start, _ in stretches],
        "length": [end - start for *_, start, end in stretches],
    }
