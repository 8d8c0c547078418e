"""The points as one table: what `points.csv` and `points.parquet` hold, one row a point, one type a column."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..objectives import MEASURES
from ..result import PointResult, StudyResult

if TYPE_CHECKING:
    import pyarrow


def state_of(point: PointResult) -> str:
    """``failed``, ``infeasible``, ``front`` or ``feasible``."""
    if point.failure is not None:
        return "failed"
    if point.violations:
        return "infeasible"
    return "front" if point.front else "feasible"


def config_fields(point: PointResult) -> dict[str, Any]:
    """Field path → value, of the accelerator, its arithmetic ("arithmetic.rounding"), recipe and budgets of bytes."""
    table = point.point.config.as_dict()
    arithmetic = table.pop("arithmetic")
    return {
        **table,
        **{f"arithmetic.{name}": value for name, value in arithmetic.items()},
        "recipe": point.point.recipe,
        "weight_budget": point.point.weight_budget,
        "activation_budget": point.point.activation_budget,
    }


def measures_of(result: StudyResult) -> list[str]:
    """The measures that any point has, objectives first, then in the order of `MEASURES`."""
    objectives = [objective.measure for objective in result.study.objectives]
    present = {name for point in result.points for name in point.values}
    return [*objectives, *(name for name in MEASURES if name in present and name not in objectives)]


def points_table(result: StudyResult) -> pyarrow.Table:
    """One row a point.

    Columns: ``index``, ``state``; ``choice.NAME`` of each dimension; ``MEASURE`` with ``MEASURE.kind`` and
    ``MEASURE.error``; ``test_accuracy``, ``config.FIELD``, ``cached``, ``violations`` (joined by "; "), ``failure``,
    ``command``. A choice whose labels are of several types is text.
    """
    import pyarrow

    points = result.points
    columns: dict[str, list[Any]] = {
        "index": [point.index for point in points],
        "state": [state_of(point) for point in points],
    }
    for dimension in result.study.space:
        labels = [point.point.choices[dimension.name] for point in points]
        columns[f"choice.{dimension.name}"] = _one_type(labels, [*dimension.labels])
    for name in measures_of(result):
        values = [point.values.get(name) for point in points]
        columns[name] = [None if value is None else float(value.number) for value in values]
        columns[f"{name}.kind"] = [None if value is None else value.kind for value in values]
        columns[f"{name}.error"] = [
            None if value is None or value.error is None else float(value.error) for value in values
        ]
    columns["test_accuracy"] = [point.test_accuracy for point in points]
    fields = [config_fields(point) for point in points]
    for name in fields[0] if fields else ():
        columns[f"config.{name}"] = [row[name] for row in fields]
    columns["cached"] = [point.cached for point in points]
    columns["violations"] = ["; ".join(point.violations) for point in points]
    columns["failure"] = [point.failure for point in points]
    columns["command"] = [point.command for point in points]
    return pyarrow.table({name: _array(name, column) for name, column in columns.items()})


def write_csv(table: pyarrow.Table, path: Path) -> None:
    """RFC 4180 with a header; a missing value is an empty cell."""
    from pyarrow import csv

    csv.write_csv(table, path)


def write_parquet(table: pyarrow.Table, path: Path) -> None:
    """The same as Parquet."""
    from pyarrow import parquet

    parquet.write_table(table, path)


def _one_type(labels: list[Any], known: list[Any]) -> list[Any]:
    kinds = {type(label) for label in known}
    if kinds == {int, float}:
        return [float(label) for label in labels]
    return labels if len(kinds) == 1 else [str(label) for label in labels]


def _array(name: str, column: list[Any]) -> Any:
    """A column in which nothing is said has the type that it would have: text or numbers, by its name."""
    import pyarrow

    if any(value is not None for value in column):
        return pyarrow.array(column)
    text = name.endswith(".kind") or name in ("state", "violations", "failure", "command")
    return pyarrow.array(column, pyarrow.string() if text else pyarrow.float64())
