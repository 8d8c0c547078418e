"""`result_as_dict`: what a study found, for JSON."""

from __future__ import annotations

from typing import Any

from ..definition.as_dict import study_as_dict
from ..result import PointResult, StudyResult


def result_as_dict(result: StudyResult) -> dict[str, Any]:
    """All of a result as plain tables, the layers' profiles and timelines left out: the page has those."""
    return {
        "study": study_as_dict(result.study),
        "state": result.state,
        "planned": result.planned,
        "front": [point.index for point in result.front],
        "points": [point_as_dict(point) for point in result.points],
        "notes": list(result.notes),
        "provenance": dict(result.provenance),
    }


def point_as_dict(point: PointResult) -> dict[str, Any]:
    """A point: its choices, its config, what it is worth."""
    return {
        "index": point.index,
        "choices": dict(point.point.choices),
        "config": point.point.config.as_dict(),
        "recipe": point.point.recipe,
        "weight_budget": point.point.weight_budget,
        "activation_budget": point.point.activation_budget,
        "values": {measure: value.as_dict() for measure, value in point.values.items()},
        "violations": list(point.violations),
        "front": point.front,
        "failure": point.failure,
        "test_accuracy": point.test_accuracy,
        "cached": point.cached,
        "command": point.command,
    }
