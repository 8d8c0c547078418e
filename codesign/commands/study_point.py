"""``lockstep study … --point N``: one point computed anew, alone, and compared with what the study's folder says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..console import Output, Phases
from ..study.definition.built_in import find_study
from ..study.definition.read_study import read_study
from ..study.definition.study import Study
from ..study.engine.folder import STORE
from ..study.engine.lock import locked
from ..study.engine.store import Store
from ..study.engine.task import canonical
from ..study.evaluation.predictions import known_syntheses
from ..study.evaluation.rerun import Rerun, rerun
from ..study.plain import to_plain
from ..study.result import PointResult, StudyResult
from ..study.result_file import read_result
from ..synthesis.area_model import Measured
from ..table import Table


def run(name: str, folder: Path, index: int, rtl: bool, json_file: str | None) -> bool:
    """Compute a point without the store, in this process; with `rtl` in Verilator too. Whether nothing differs."""
    output = Output(json_file)
    study = read_study(find_study(name))
    result = read_result(folder)
    if _content(study) != _content(result.study):
        raise ValueError(f"{folder} has the result of another study than {name}; run that one first")
    known = {point.index: point for point in result.points}
    if index not in known:
        raise ValueError(f"--point must be one of the {len(known)} points of {folder}, not {index}")
    told = known[index]
    syntheses: tuple[Measured, ...] = ()
    if study.area_model == "store":
        with locked(folder):
            syntheses = known_syntheses(study, Store(folder / STORE))
    with Phases() as phases, phases.phase(f"point {index}") as on_step:
        steps = iter(range(1 << 31))
        anew = rerun(
            study,
            told.point,
            rtl=rtl,
            confirm=_confirmed(result, told),
            on_task=lambda kind: on_step(next(steps), next(steps)),
            syntheses=syntheses,
        )
    rows = _rows(told, anew)
    table = Table(f"Point {index} of {study.name}", ("", "the study", "anew", "equal"))
    for what, before, after in rows:
        table.add(what, before, after, before == after)
    output.show(table)
    for what, count in (anew.mismatches or {}).items():
        output.show(f"{what.replace('_', ' ')}: {count} differ")
    if anew.rtl_cycles is not None:
        output.show(f"cycles of the RTL: {anew.rtl_cycles}")
    holds = all(before == after for _, before, after in rows) and not any((anew.mismatches or {}).values())
    output.show("nothing differs" if holds else f"point {index} differs from what {folder} says")
    output.finish(
        {
            "point": index,
            "choices": dict(told.point.choices),
            "rows": [{"name": what, "study": before, "anew": after} for what, before, after in rows],
            "mismatches": anew.mismatches,
            "rtl_cycles": anew.rtl_cycles,
            "holds": holds,
        }
    )
    return holds


def _content(study: Study) -> str:
    """All of a study but where it and its files are; what those of synthesis and energy hold, the numbers tell."""
    return canonical(to_plain(replace(study, file=None, folder=Path(), energy_table=None, liberty=None)))


def _confirmed(result: StudyResult, told: PointResult) -> bool:
    """Whether the study has done the work for this point that only those of a front get."""
    synthesized = result.study.confirm == "front" and "luts" in told.values and told.values["luts"].kind == "exact"
    return (told.front and result.state == "complete") or told.test_accuracy is not None or synthesized


def _rows(told: PointResult, anew: Rerun) -> list[tuple[str, Any, Any]]:
    """(what, as the study has it, as it is anew)."""
    before, after = ({} if of.failure else of.values for of in (told, anew))
    rows: list[tuple[str, Any, Any]] = [
        (measure, *(found[measure].number if measure in found else None for found in (before, after)))
        for measure in dict.fromkeys([*before, *after])
    ]
    rows.append(("test accuracy", told.test_accuracy, anew.details.test_accuracy))
    rows.append(("layers that differ", 0, _different(told.layers, anew.details.layers)))
    rows.append(("failure", told.failure, anew.failure))
    return [row for row in rows if row[1:] != (None, None)]


def _different(before: tuple[Mapping[str, Any], ...], after: tuple[Mapping[str, Any], ...]) -> int:
    pairs = sum(canonical(to_plain(a)) != canonical(to_plain(b)) for a, b in zip(before, after, strict=False))
    return pairs + abs(len(before) - len(after))
