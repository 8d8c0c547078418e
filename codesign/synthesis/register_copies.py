"""Copies of registers whose users lie far apart on the chip: one for those on the left, one for those on the right."""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping
from typing import Any

from .netlist import FLIP_FLOP, scope, users_of

FAR = 40
"""Tiles between a register's users from which on it is copied: a wire takes about an eighth of a nanosecond a tile."""
_NEAR = 20
"""A part of the hierarchy has a place where what is fixed of it lies within so many tiles."""


def copy_registers(module: dict[str, Any]) -> int:
    """Copy flip-flops of a flattened module in Yosys' JSON, in place; returns how many copies there are.

    Users have the place that they are fixed at, or that of the deepest part of the hierarchy around them of which
    something is fixed within a few tiles. Those of no place stay with the register, and so do the ports of the module.
    """
    cells = module["cells"]
    places, users = _places(cells), users_of(module)
    wires = [bits for cell in cells.values() for bits in cell["connections"].values()]
    wires += [each["bits"] for kind in ("ports", "netnames") for each in module.get(kind, {}).values()]  # used or not
    free = 1 + max((bit for bits in wires for bit in bits if isinstance(bit, int)), default=1)
    copies = 0
    for name in [name for name, cell in cells.items() if cell["type"] == FLIP_FLOP]:
        bit = cells[name]["connections"]["Q"][0]
        placed = [(places[user], user, port) for user, port in users.get(bit, ()) if user in places]
        if not placed or (right := max(placed)[0]) - (left := min(placed)[0]) < FAR:
            continue
        copy = {**cells[name], "attributes": dict(cells[name]["attributes"])}
        copy["connections"] = {**cells[name]["connections"], "Q": [free]}
        for x, user, port in placed:
            if x > (left + right) / 2:
                bits = cells[user]["connections"][port]
                cells[user]["connections"][port] = [free if each == bit else each for each in bits]
        cells[f"{name}_copy"] = copy
        module.setdefault("netnames", {})[f"{name}_copy"] = {"hide_name": 0, "bits": [free], "attributes": {}}
        free += 1
        copies += 1
    return copies


def _places(cells: Mapping[str, Any]) -> dict[str, float]:
    """Cell → where it is or should be, in tiles from the left."""
    scopes = {name for name, cell in cells.items() if cell["type"] == "$scopeinfo"}
    paths = {name: tuple(scope(name, scopes)) for name in cells}
    fixed = {
        name: int(found[1])
        for name, cell in cells.items()
        if (found := re.match(r"X(\d+)/", cell.get("attributes", {}).get("BEL", "")))
    }
    parts = dict[tuple[str, ...], list[int]]()
    for name, x in fixed.items():
        for length in range(1, len(paths[name]) + 1):
            parts.setdefault(paths[name][:length], []).append(x)
    middles = {path: statistics.fmean(xs) if max(xs) - min(xs) <= _NEAR else None for path, xs in parts.items()}
    places = dict[str, float](fixed)
    for name, path in paths.items():
        around = [path[:length] for length in range(len(path), 0, -1) if path[:length] in middles]
        if name not in fixed and around and (middle := middles[around[0]]) is not None:
            places[name] = middle
    return places
