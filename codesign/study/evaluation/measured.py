"""From outcomes to measures: numbers with their standing."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ...energy import EnergyBreakdown, EnergyTable, energy, load_energy_table
from ..definition.study import Point, Study
from ..engine.task import Outcome
from ..value import Value
from .several import whole_run
from .tasks import ACCURACY, TRAIN

MEMORIES = ("activation_scratchpad", "weight_scratchpad", "operand_scratchpad", "output_scratchpad", "accumulator")
MACHINE = "machine"
PJ_PER_UJ = 1e6


def measures(study: Study, point: Point, done: Mapping[str, Outcome]) -> dict[str, Value]:
    """{measure: value} of all that the outcomes and the point itself tell."""
    config = point.config
    found = {"scratchpad_bytes": Value(sum(getattr(config, f"{name}_bytes") for name in MEMORIES), source="config")}
    if study.clock_mhz is not None:
        found["clock_mhz"] = Value(study.clock_mhz, source="the study's own")
    trained = _values(done, TRAIN)
    if "accuracy" in trained:
        found["accuracy"] = Value(trained["accuracy"], source="validation data, torch")
    if ACCURACY in done:
        found["accuracy"] = Value(_values(done, ACCURACY)["accuracy"], source="validation data, emulator")
    run = whole_run(study, done)
    if run or trained:
        size = (trained or run)["weight_bytes"]
        found["weight_bytes"] = Value(size, source="the model's weights")
    if run:
        cycles = run["cycles"]
        found["cycles"] = Value(cycles, source=MACHINE)
        found["utilization"] = Value(run["macs"] / (cycles * config.rows * config.columns), source=MACHINE)
        moved = run["telemetry"]["bytes_read"] + run["telemetry"]["bytes_written"]
        found["bytes_moved"] = Value(moved, source=MACHINE)
        found["memory_bytes"] = Value(run["memory_bytes"], source="compiler")
        found["program_bytes"] = Value(run["program_bytes"], source="compiler")
        spent = point_energy(study, point, run)
        found["energy_uj"] = Value(spent.total / PJ_PER_UJ, "model", source=f"exact accesses, {spent.table.name}")
        clock = found.get("clock_mhz")
        if clock is not None:
            found["latency_us"] = Value(cycles / clock.number, clock.kind, clock.error, f"{MACHINE}; {clock.source}")
    return found


def point_energy(study: Study, point: Point, run: Mapping[str, Any]) -> EnergyBreakdown:
    """What the accesses of a ``run`` outcome cost by the study's table."""
    accesses = run["accesses"]
    table = _table(study.energy_table)
    return energy(list(accesses.values()), point.config, table, list(accesses), run["cycles"])


@cache
def _table(path: Path | None) -> EnergyTable:
    return load_energy_table(path)


def _values(done: Mapping[str, Outcome], role: str) -> Mapping[str, Any]:
    outcome = done.get(role)
    return {} if outcome is None or outcome.failure is not None else outcome.values
