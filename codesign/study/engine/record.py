"""`result_as_dict`: what a study found, for JSON."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..plain import to_plain
from ..result import StudyResult


def result_as_dict(result: StudyResult) -> dict[str, Any]:
    """All of a result as plain tables, but for the layers' profiles and timelines, which its folder has."""
    points = tuple(replace(point, layers=(), timeline=()) for point in result.points)
    table: dict[str, Any] = to_plain(replace(result, points=points))
    for point in table["points"]:
        del point["layers"], point["timeline"]
    return {"front": [point.index for point in result.front], **table}
