"""A point's layers and timeline by columns: names once, numbers side by side, which packs well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


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
    """Units and layers by name, and of each stretch of work its unit, layer, start and length in cycles."""
    units = list(dict.fromkeys(unit for unit, *_ in timeline))
    layers = list(dict.fromkeys(layer for _, layer, *_ in timeline))
    places = {name: at for at, name in enumerate(units)}, {name: at for at, name in enumerate(layers)}
    return {
        "units": units,
        "layers": layers,
        "unit": [places[0][unit] for unit, *_ in timeline],
        "layer": [places[1][layer] for _, layer, *_ in timeline],
        "start": [start for *_, start, _ in timeline],
        "length": [end - start for *_, start, end in timeline],
    }
