"""Floorplan: where the multipliers and the columns' block RAMs of an accelerator lie on an ECP5-85.

A placer that begins with nothing fixed begins with everything in one point, and what it makes of multipliers and block
RAMs, of which there are few places in rows across the chip, pulls all else apart. So they are fixed: the array's
columns side by side, its elements from the top down, and below each column what belongs to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from emulator.config import AcceleratorConfig

from .memory_registers import MEMORY
from .multiplier_registers import MULTIPLIER

_GROUPS = (4, 13, 22, 31, 40, 49, 58, 69, 78, 87, 96, 105, 114)
"""Where groups of four places begin, in tiles from the left (Project Trellis' database, LFE5U-85F)."""
_ROWS = {MULTIPLIER: (10, 34, 58), MEMORY: (22, 46, 70, 82)}
"""In which rows of tiles they are."""
_OFFSETS = {MULTIPLIER: {0: "MULT18_0", 1: "MULT18_1", 4: "MULT18_4", 5: "MULT18_5"}}
_OFFSETS[MEMORY] = {0: "EBR0", 2: "EBR1", 4: "EBR2", 6: "EBR3"}
"""A place's tile within its group, and its name in that tile."""
_BELOW = {
    r"front_end\.sequencer\.convolve_queue\.": (0.38, 70),
    r"front_end\.sequencer\.post_process_queue\.": (0.60, 70),
    r"front_end\.sequencer\.load_queue\.": (0.38, 82),
    r"front_end\.sequencer\.store_queue\.": (0.60, 82),
    r"front_end\.sequencer\.fetch\.|front_end\.telemetry\.": (0.49, 82),
    r"store\.buffer\.": (0.70, 82),
}
"""Where block RAMs of the front end and of the write buffer are: below all others, in the middle."""
_LEFT, _RIGHT = _GROUPS[0], _GROUPS[-1] + 5
_SPARE = 1.15
"""So much more of the chip's width is used than multipliers or block RAMs need."""


@dataclass(frozen=True)
class _Wish:
    """Where a cell should be: `x` between the columns' left and right border, 0 to 1; in tiles from the top."""

    cell: str
    x: float
    y: float


def fix_places(module: dict[str, Any], config: AcceleratorConfig) -> int:
    """Give multipliers and block RAMs of a flattened module in Yosys' JSON their places, in place; returns how many
    have one.

    What has no such place is left to the placer, and all where there is not enough room.
    """
    wishes = {MULTIPLIER: list(_multipliers(module, config)), MEMORY: list(_memories(module, config))}
    counts = {kind: sum(cell["type"] == kind for cell in module["cells"].values()) for kind in wishes}
    free = {
        kind: {(group + offset, y): name for group in _GROUPS for offset, name in _OFFSETS[kind].items() for y in rows}
        for kind, rows in _ROWS.items()
    }
    shares = [count / len(free[kind]) for kind, count in counts.items()]
    if max(shares) > 1:
        return 0
    width = (_RIGHT - _LEFT) * min(1.0, _SPARE * max(shares))
    left = (_LEFT + _RIGHT - width) / 2
    for kind, wanted in wishes.items():
        for wish in wanted:
            x, y = min(free[kind], key=lambda at: abs(at[0] - left - wish.x * width) + abs(at[1] - wish.y))
            module["cells"][wish.cell]["attributes"]["BEL"] = f"X{x}/Y{y}/{free[kind].pop((x, y))}"
    return sum(len(wanted) for wanted in wishes.values())


def _multipliers(module: dict[str, Any], config: AcceleratorConfig) -> Iterator[_Wish]:
    """Of the array's elements, row by row, then of the lanes, those of adders last: as many in each row of the chip."""
    elements, lanes = [], list[tuple[bool, int, int, str]]()
    seen = dict[tuple[bool, int], int]()
    for name, cell in sorted(module["cells"].items()):
        if cell["type"] == MULTIPLIER:
            if found := re.search(r"\.element_(\d+)_(\d+)\.", name):
                elements.append((int(found[1]), int(found[2]), name))
            elif found := re.match(r"post_processing\.lane_(\d+)\.", name):
                kind = ".adder." in name, int(found[1])
                seen[kind] = seen.get(kind, 0) + 1
                lanes.append((kind[0], seen[kind], kind[1], name))
    columns = 1 + max((column for _, column, _ in elements), default=0)
    placed = [((column + 0.5) / columns, name) for _, column, name in sorted(elements)]
    placed += [(_lane_middle(config, lane), name) for _, _, lane, name in sorted(lanes)]
    rows = _ROWS[MULTIPLIER]
    for index, (x, name) in enumerate(placed):
        yield _Wish(name, x, rows[index * len(rows) // len(placed)])


def _memories(module: dict[str, Any], config: AcceleratorConfig) -> Iterator[_Wish]:
    """Of accumulators and weights, above; of lanes, their operands and results, below; then of queues and buffers."""
    above, below = _ROWS[MEMORY][:2]
    wanted, scratchpads = [], dict[str, list[tuple[int, str]]]()
    for name in (name for name, cell in module["cells"].items() if cell["type"] == MEMORY):
        if found := re.match(r"compute\.accumulator_lane_(\d+)\.", name):
            wanted.append((above, (int(found[1]) + 0.5) / config.columns, name))
        elif found := re.match(r"post_processing\.lane_(\d+)\.", name):
            wanted.append((below, _lane_middle(config, int(found[1])), name))
        elif found := re.match(r"(compute\.weight|post_processing\.(?:operands|outputs))\.memory\.0\.(\d+)$", name):
            scratchpads.setdefault(found[1], []).append((int(found[2]), name))
    for path, parts in scratchpads.items():  # their parts have the bytes of the columns in their order
        for part, name in parts:
            wanted.append((above if path == "compute.weight" else below, (part + 0.5) / len(parts), name))
    for name in (name for name, cell in module["cells"].items() if cell["type"] == MEMORY):
        wanted += [(y, x, name) for pattern, (x, y) in _BELOW.items() if re.match(pattern, name)]
    for y, x, name in sorted(wanted):
        yield _Wish(name, x, y)


def _lane_middle(config: AcceleratorConfig, lane: int) -> float:
    """Of a lane's columns."""
    return (lane + 0.5) * config.lane_columns / config.columns
