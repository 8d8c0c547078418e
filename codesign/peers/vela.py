"""Vela's estimate of the cycles that a .tflite file takes on an Ethos-U55, layer by layer and as a whole.

Vela compiles for Arm's NPUs, and calls the cycles that it prints an estimate. The hardware is not ours: no systolic
array, compressed weights, feature maps in an SRAM beside it. What can be made equal: 256 MACs per cycle for 16×16, and
behind each of its two ports (one for features, one for weights) a memory of 8 bytes per cycle and of a given latency.
"""

from __future__ import annotations

import csv
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .estimators import run_estimator

ACCELERATOR = "ethos-u55-256"
"""256 multiplications per cycle, and 8 bytes on each of two ports."""
SYSTEM = """[System_Config.lockstep]
core_clock=1e9
axi0_port=Sram
axi1_port=OffChipFlash
Sram_clock_scale=1.0
Sram_burst_length=32
Sram_read_latency={latency}
Sram_write_latency={latency}
OffChipFlash_clock_scale=1.0
OffChipFlash_burst_length=128
OffChipFlash_read_latency={latency}
OffChipFlash_write_latency={latency}
[Memory_Mode.lockstep]
const_mem_area=Axi1
arena_mem_area=Axi0
cache_mem_area=Axi0
"""
SCRIPT = """
from ethosu.vela.vela import main

def run(*arguments):
    status = main(arguments)
    if status:
        raise SystemExit(status)
"""
CYCLES, MULTIPLICATIONS, LAYER, TARGET = "Op Cycles", "MAC Count", "Name", "Target"
WHOLE = "cycles_total"


@dataclass(frozen=True)
class Estimated:
    """layers : tensor that the layer makes → estimated cycles; macs : the same for multiplications.

    total : cycles of the whole file; seconds : processor seconds that Vela took
    """

    layers: dict[str, int]
    macs: dict[str, int]
    total: int
    seconds: float


def run_vela(data: bytes, latency: int, timeout: float = 600) -> Estimated:
    """Vela's estimate for the .tflite file `data`, in another process and a temporary folder.

    latency : cycles from a read's address to its first beat

    Raises ``ValueError``, one sentence, where Vela is absent, fails, leaves operators to the processor beside it, or
    takes more than `timeout` seconds.
    """
    with tempfile.TemporaryDirectory(prefix="lockstep-") as name:
        folder = Path(name)
        (folder / "network.tflite").write_bytes(data)
        (folder / "system.ini").write_text(SYSTEM.format(latency=latency))
        arguments = ("network.tflite", "--accelerator-config", ACCELERATOR, "--config", "system.ini")
        arguments += ("--system-config", "lockstep", "--memory-mode", "lockstep")
        arguments += ("--output-dir", "out", "--verbose-performance")
        seconds = run_estimator("Vela", SCRIPT, arguments, folder, timeout)
        layers, macs = read_layers(_only(folder / "out", "*_per-layer.csv"))
        return Estimated(layers, macs, read_total(_only(folder / "out", "*_summary_*.csv")), seconds)


def _only(folder: Path, pattern: str) -> str:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise ValueError(f"Vela must write one file {pattern}, not {len(found)}")
    return found[0].read_text(encoding="utf-8")


def read_layers(text: str) -> tuple[dict[str, int], dict[str, int]]:
    """({tensor: cycles}, {tensor: multiplications}) of Vela's per-layer CSV; operators that make one tensor are added.

    Raises ``ValueError`` where a column is absent, or an operator is left to the processor, whose cycles Vela does not
    know.
    """
    lines = _table(text, (CYCLES, MULTIPLICATIONS, LAYER, TARGET), "per-layer")
    cycles: dict[str, int] = {}
    macs: dict[str, int] = {}
    for line in lines:
        if line[TARGET] != "NPU":
            raise ValueError(f"{line[LAYER]}: Vela leaves it to the {line[TARGET]}, of which it has no estimate")
        for table, column in ((cycles, CYCLES), (macs, MULTIPLICATIONS)):
            table[line[LAYER]] = table.get(line[LAYER], 0) + int(float(line[column]))
    return cycles, macs


def read_total(text: str) -> int:
    """Cycles of the whole network, of Vela's summary CSV; ``ValueError`` where the column is absent."""
    return int(float(_table(text, (WHOLE,), "summary")[0][WHOLE]))


def _table(text: str, columns: tuple[str, ...], what: str) -> list[dict[str, str]]:
    lines = list(csv.DictReader(text.splitlines()))
    for column in columns:
        if not lines or column not in lines[0]:
            raise ValueError(f"Vela's {what} CSV must have a column {column!r}")
    return lines
