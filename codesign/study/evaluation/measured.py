"""From outcomes to measures: numbers with their standing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...energy import EnergyBreakdown, EnergyTable, energy
from ...synthesis.area_model import AreaModel, measured_on
from ...synthesis.devices import fits
from ..definition.study import Point, Study
from ..engine.task import Outcome
from ..value import Value
from .several import whole_run
from .tasks import ACCURACY, ASIC, CLOCK, RTL, SYNTHESIS, TRAIN

RESOURCES = {"luts": "LUTs", "ffs": "FFs", "dsps": "DSPs", "brams": "BRAMs"}
"""Measure → resource, as synthesis names it."""
MEMORIES = ("activation_scratchpad", "weight_scratchpad", "operand_scratchpad", "output_scratchpad", "accumulator")
MACHINE = "machine"
PJ_PER_UJ = 1e6


OTHER_RTL = (
    "areas are predicted from syntheses of another RTL than the installed one, and may be off by more than their "
    'errors say; [synthesis] confirm = "front" counts them'
)


@dataclass(frozen=True)
class Constants:
    """What measures depend on beside a point's outcomes."""

    areas: AreaModel
    energies: EnergyTable


def measures(study: Study, point: Point, done: Mapping[str, Outcome], constants: Constants) -> dict[str, Value]:
    """{measure: value} of all that the outcomes and the point itself tell."""
    config = point.config
    found = {"scratchpad_bytes": Value(sum(getattr(config, f"{name}_bytes") for name in MEMORIES), source="config")}
    placed = _values(done, CLOCK)
    if placed.get("mhz") is not None:
        found["clock_mhz"] = Value(placed["mhz"], source=f"nextpnr, median of seeds {', '.join(placed['clocks'])}")
    elif study.clock_mhz is not None:
        found["clock_mhz"] = Value(study.clock_mhz, source="the study's own")
    trained = _values(done, TRAIN)
    if "accuracy" in trained:
        found["accuracy"] = Value(trained["accuracy"], source="validation data, torch")
    if ACCURACY in done:
        found["accuracy"] = Value(_values(done, ACCURACY)["accuracy"], source="validation data, emulator")
    found |= _area(study, point, done, constants.areas)
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
        spent = point_energy(point, run, constants.energies)
        found["energy_uj"] = Value(spent.total / PJ_PER_UJ, "model", source=f"exact accesses, {spent.table.name}")
        clock = found.get("clock_mhz")
        if clock is not None:
            found["latency_us"] = Value(cycles / clock.number, clock.kind, clock.error, f"{MACHINE}; {clock.source}")
    return found


def _area(study: Study, point: Point, done: Mapping[str, Outcome], model: AreaModel) -> dict[str, Value]:
    """Resources of the FPGA, counted by Yosys or predicted, whether they fit, and the area in cells."""
    found = {}
    synthesized = _values(done, SYNTHESIS)
    predicted = model.predict(point.config)
    for measure, resource in RESOURCES.items():
        if synthesized:
            found[measure] = Value(synthesized["resources"][resource], source="Yosys")
        else:
            one = predicted[resource]
            source = ", ".join((f"area model of {len(model.measured)} syntheses", *one.outside))
            found[measure] = Value(one.value, "estimate", one.error_worst, source)
    needed = {resource: int(found[measure].number) for measure, resource in RESOURCES.items()}
    source = f"{study.device}; {found['luts'].source}"
    found["fits"] = Value(int(fits(needed, study.device)), "estimate", source=source)
    cells = _values(done, ASIC)
    if cells:
        found["asic_area"] = Value(cells["area"], source=f"Yosys, {study.liberty.name if study.liberty else ''}")
        found["asic_delay_ns"] = Value(cells["delay_ns"], source=found["asic_area"].source)
    return found


def notes(point: Point, done: Mapping[str, Outcome], areas: AreaModel) -> tuple[str, ...]:
    """Sentences that a reader of a study must know, of one point's outcomes."""
    found = []
    if SYNTHESIS not in done:
        if RTL in done and not measured_on(_values(done, RTL)["fingerprint"]):
            found.append(OTHER_RTL)
        rows, columns = (max(getattr(one.config, side) for one in areas.measured) for side in ("rows", "columns"))
        if point.config.rows > rows or point.config.columns > columns:
            found.append(
                f"areas of arrays with more than {rows} rows or {columns} columns are extrapolated, since none of them "
                "was synthesized: no error is known of arrays beyond twice as many"
            )
    reason = _values(done, CLOCK).get("reason")
    if reason is not None:
        found.append(f"where no clock could be had, the placer said: {reason}")
    return tuple(found)


def point_energy(point: Point, run: Mapping[str, Any], table: EnergyTable) -> EnergyBreakdown:
    """What the accesses of a ``run`` outcome cost."""
    accesses = run["accesses"]
    return energy(list(accesses.values()), point.config, table, list(accesses), run["cycles"])


def layer_energies(point: Point, run: Mapping[str, Any], table: EnergyTable) -> dict[str, dict[str, float]]:
    """Layer → unit → pJ, which together are the point's energy: what is static goes by the layers' cycles."""
    spent = point_energy(point, run, table)
    found = {name: dict(units) for name, units in spent.layers.items()}
    if spent.table.static_pj_per_cycle:
        for row in run["layers"]:
            found[row["name"]]["static"] = row["cycles"] * spent.table.static_pj_per_cycle
    return found


def _values(done: Mapping[str, Outcome], role: str) -> Mapping[str, Any]:
    outcome = done.get(role)
    return {} if outcome is None or outcome.failure is not None else outcome.values
