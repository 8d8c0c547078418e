"""A `StudyResult` as JSON and back: what a study found, kept beside its page, the same when it is read again."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any

from ..files import write_text
from .definition.study import AREA_MODELS, CONFIRM, SAMPLERS
from .objectives import MEASURES
from .plain import from_plain, shown, to_plain
from .result import StudyResult
from .value import KINDS

RESULT_NAME = "result.json"
FORMAT = 1
STATES = ("complete", "interrupted", "running")
LARGEST = 1 << 30
"""Bytes of a result file that is read at all: 1,000 points of a large network with their timelines have a tenth."""


def result_to_json(result: StudyResult) -> str:
    """JSON text, from which `result_from_json` makes an equal result. ``ValueError`` for NaN and infinities."""
    front = [point.index for point in result.front]
    table = {"format": FORMAT, "front": front, **to_plain(result)}
    try:
        return json.dumps(table, ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n"
    except ValueError:
        raise ValueError(f"the result of study {result.study.name!r} holds a number that is not finite") from None


def result_from_json(text: str, where: str = "result") -> StudyResult:
    """The result that `result_to_json` wrote; ``ValueError`` naming `where` and the key at fault for anything else."""
    try:
        table = json.loads(text, parse_constant=_refuse, parse_float=_finite, object_pairs_hook=_distinct)
    except RecursionError:
        raise ValueError(f"{where}: is nested too deeply for a study's result") from None
    except ValueError as error:
        raise ValueError(f"{where}: is not a study's result: {error}") from None
    if not isinstance(table, dict) or table.pop("format", None) != FORMAT:
        raise ValueError(f"{where}: is not a study's result of format {FORMAT}; run the study again to write one")
    front = table.pop("front", None)
    try:
        result = from_plain(StudyResult, table, "result")
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    if front != [point.index for point in result.front]:
        raise ValueError(f"{where}: front must be the indices of the points on the front, not {shown(front)}")
    for problem in _problems(result):
        raise ValueError(f"{where}: {problem}")
    return result


def write_result(result: StudyResult, folder: str | PathLike[str]) -> None:
    """Write ``result.json`` in `folder`, as a whole or not at all."""
    write_text(Path(folder) / RESULT_NAME, result_to_json(result))


def read_result(folder: str | PathLike[str]) -> StudyResult:
    """The result in a study's folder, or in a file; ``ValueError`` of one sentence where there is none."""
    path = Path(folder)
    file = path / RESULT_NAME if path.is_dir() else path
    try:
        size = file.stat().st_size
        if size > LARGEST:
            raise ValueError(f"{file}: must have at most {LARGEST} bytes, not {size}")
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror}; `lockstep study` writes it") from None
    except UnicodeDecodeError:
        raise ValueError(f"{file}: is not a UTF-8 text file") from None
    return result_from_json(text, str(file))


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{shown(text)} is too large a number")
    return number


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for key, value in pairs:
        if key in table:
            raise ValueError(f"the key {shown(key)} is there twice")
        table[key] = value
    return table


def _problems(result: StudyResult) -> Iterator[str]:
    """What the fields' types cannot say."""
    if result.state not in STATES:
        yield f"state must be one of {', '.join(STATES)}, not {shown(result.state)}"
    study = result.study
    for name, value, known in (
        ("sampler", study.search.sampler, SAMPLERS),
        ("confirm", study.confirm, CONFIRM),
        ("area_model", study.area_model, AREA_MODELS),
    ):
        if value not in known:
            yield f"{name} must be one of {', '.join(known)}, not {shown(value)}"
    for objective in study.objectives:
        if objective.measure not in MEASURES or objective.direction not in ("minimize", "maximize"):
            yield f"objective must be a known measure and a direction, not {shown(objective)}"
    for dimension in study.space:
        if len(dimension.labels) != len(dimension.choices) or not dimension.labels:
            yield f"dimension {shown(dimension.name)} must have a label for each choice, and one at least"
    names = {dimension.name: dimension.labels for dimension in study.space}
    for at, point in enumerate(result.points):
        if set(point.point.choices) != set(names):
            yield f"points[{at}] must choose in {', '.join(names)}, not in {shown(list(point.point.choices))}"
        for name, label in point.point.choices.items():
            if label not in names[name]:
                yield f"points[{at}].{name} must be one of the dimension's labels, not {shown(label)}"
        for name, value in point.values.items():
            if name not in MEASURES:
                yield f"points[{at}].values: unknown measure {shown(name)}"
            if value.kind not in KINDS:
                yield f"points[{at}].values.{name}.kind must be one of {', '.join(KINDS)}, not {shown(value.kind)}"
    if len({point.index for point in result.points}) != len(result.points):
        yield "points must have different indices"
