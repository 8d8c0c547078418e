"""``lockstep study``: a co-design study in a folder, and one of its points computed anew."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..cli import FAILS, HOLDS, INTERRUPTED
from ..console import Output
from ..study.definition.built_in import find_study
from ..study.definition.read_study import read_study
from ..study.engine.record import result_as_dict
from ..study.engine.run import run_study
from ..study.engine.terminal import Watcher
from ..study.report.write_report import PAGE_NAME
from ..study.result import StudyResult
from ..study.value import Value
from ..table import Table, percent


def run(name: str, folder: Path, workers: int | None, ray: str | None, json_file: str | None) -> int:
    """Run a study, or go on with it; print its front and where the page is. Returns the exit status."""
    output = Output(json_file)
    study = read_study(find_study(name))
    with Watcher() as watcher:
        result = run_study(study, folder, workers, ray, watcher.show)
    show(output, result, folder)
    output.finish(result_as_dict(result))
    if result.state != "complete":
        return INTERRUPTED
    return HOLDS if any(point.failure is None for point in result.points) else FAILS


def show(output: Output, result: StudyResult, folder: Path) -> None:
    """Print the front as a table, what failed, and what was computed."""
    study = result.study
    measures = list(dict.fromkeys(part.measure for part in (*study.objectives, *study.constraints)))
    tested = any(point.test_accuracy is not None for point in result.front)
    numbers = [*measures, *(("test accuracy",) if tested else ())]
    names = [dimension.name for dimension in study.space]
    title = f"{study.name}: the front"
    table = Table(title, ("point", *names, *numbers), left=1 + len(names))
    narrow = Table(title, ("point", "choices", *numbers), left=2, whole=numbers)
    for point in result.front:
        cells = [marked(point.values[measure].number, point.values[measure].kind) for measure in measures]
        cells += [marked(point.test_accuracy)] if tested else []
        choices = [str(point.point.choices[name]) for name in names]
        table.add(str(point.index), *choices, *cells)
        narrow.add(str(point.index), ", ".join(map(" ".join, zip(names, choices, strict=True))), *cells)
    failed = [point for point in result.points if point.failure is not None]
    cached = sum(point.cached for point in result.points)
    if result.front:
        output.show(table if output.fits(table) else narrow)
    elif len(failed) < len(result.points):
        output.show(f"{title} is empty: no point meets all constraints")
    for point in failed[:5]:
        output.show(f"point {point.index} failed: {point.failure}")
    if len(failed) > 5:
        output.show(f"{len(failed) - 5} more points failed; {folder / PAGE_NAME} names them")
    output.show(*marks([point.values[measure] for point in result.front for measure in measures]))
    output.show(
        *result.notes,
        f"{len(result.points)} of {result.planned} points, {len(result.front)} on the front, {len(failed)} failed; "
        f"{cached} came from the store as a whole",
        f"tasks: {result.provenance['tasks computed']} computed, {result.provenance['tasks from the store']} "
        f"from the store; {result.provenance['seconds']} seconds",
        f"the page is {folder / PAGE_NAME}",
    )


def marks(values: Sequence[Value]) -> list[str]:
    """What the marks of `marked` mean, and the worst error of the estimates; nothing where all is exact."""
    said = []
    if any(value.kind == "estimate" for value in values):
        errors = [value.error for value in values if value.error is not None]
        said.append("≈ is an estimate" + (f", off by up to {percent(max(errors))}" if errors else ""))
    if any(value.kind == "model" for value in values):
        said.append("* is a model: exact counts times constants")
    return ["; ".join([*said, "all others are exact"])] if said else []


def marked(number: float | None, kind: str = "exact") -> str | None:
    """A number with thin separators or four digits, and the mark of its kind, which the page has too."""
    if number is None:
        return None
    before, after = {"exact": ("", ""), "estimate": ("≈", ""), "model": ("", " *")}[kind]
    text = f"{int(number):,}".replace(",", "\u202f") if number == int(number) else f"{number:.4g}"
    return before + text + after
