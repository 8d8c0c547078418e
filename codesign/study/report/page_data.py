"""What the page's script draws: the result as plain JSON, each text and each column of layers once."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterable
from typing import Any

from emulator.config import AcceleratorConfig

from ..definition.study import Point
from ..objectives import MEASURES
from ..result import PointResult, StudyResult
from .importance import Importance
from .layer_columns import layer_columns, timeline_columns
from .points_table import config_fields, measures_of, state_of


def page_data(result: StudyResult, importances: Iterable[Importance]) -> dict[str, Any]:
    """Study, measures, dimensions, importances and points, without layers and timelines (`page_details`)."""
    return {
        "name": result.study.name,
        "clock_mhz": result.study.clock_mhz,
        "measures": [_measure(result, name) for name in measures_of(result)],
        "dimensions": [_dimension(result, at) for at in range(len(result.study.space))],
        "defaults": _defaults(),
        "importances": [
            {"measure": one.measure, "method": one.method, "points": one.points, "shares": one.shares}
            for one in importances
        ],
        "points": [_point(result, point, _defaults()) for point in result.points],
    }


def _defaults() -> dict[str, Any]:
    return config_fields(PointResult(0, Point({}, AcceleratorConfig())))


def page_details(result: StudyResult) -> list[dict[str, Any]]:
    """Layers and timeline of each point, in the order of the points."""
    return [
        {"layers": layer_columns(point.layers), "timeline": timeline_columns(point.timeline)} for point in result.points
    ]


def _measure(result: StudyResult, name: str) -> dict[str, Any]:
    known = MEASURES[name]
    objective = next((one for one in result.study.objectives if one.measure == name), None)
    bound = next((one for one in result.study.constraints if one.measure == name), None)
    return {
        "name": name,
        "unit": known.unit,
        "better": known.better if objective is None else objective.direction,
        "objective": objective is not None,
        "low": None if bound is None else bound.low,
        "high": None if bound is None else bound.high,
        "doc": known.doc,
    }


def _dimension(result: StudyResult, at: int) -> dict[str, Any]:
    one = result.study.space[at]
    numeric = all(type(label) in (int, float) for label in one.labels)
    return {"name": one.name, "labels": [label if numeric else str(label) for label in one.labels], "numeric": numeric}


def _point(result: StudyResult, point: PointResult, defaults: dict[str, Any]) -> dict[str, Any]:
    return {
        "index": point.index,
        "state": state_of(point),
        "choices": [one.labels.index(point.point.choices[one.name]) for one in result.study.space],
        "values": {name: [value.number, value.kind, value.error, value.source] for name, value in point.values.items()},
        "config": {name: value for name, value in config_fields(point).items() if value != defaults[name]},
        "violations": list(point.violations),
        "failure": point.failure,
        "test_accuracy": point.test_accuracy,
        "cached": point.cached,
        "command": point.command,
    }


def script_json(value: Any) -> str:
    """JSON for a script element: no ``<``, so that nothing from outside can end the element or open a comment."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign in ("<", ">", "&", "\u2028", "\u2029"):
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def packed(text: str) -> str:
    """gzip and Base64, which browsers undo by themselves; equal texts are equal bytes, whenever they are packed."""
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()
