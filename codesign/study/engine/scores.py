"""What a point's values are to the study: costs, constraints that do not hold, the front."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ..definition.study import Constraint, Study
from ..value import Value
from .pareto import pareto_front


def objectives(study: Study, values: Mapping[str, Value]) -> tuple[float, ...]:
    """The objectives' numbers, as the study has them."""
    return tuple(values[objective.measure].number for objective in study.objectives)


def unusable(study: Study, values: Mapping[str, Value]) -> str | None:
    """A sentence where a measure is no number, or one that the study asks for is not there."""
    for measure, value in values.items():
        if not math.isfinite(value.number):
            return f"{measure} must be a finite number, not {value.number}"
    asked = [part.measure for part in (*study.objectives, *study.constraints)]
    absent = [measure for measure in dict.fromkeys(asked) if measure not in values]
    return f"{', '.join(absent)} could not be had" if absent else None


def excess(study: Study, values: Mapping[str, Value]) -> tuple[float, ...]:
    """Of each bound, how far beyond it the point is, as a share of it; 0 or less where it holds."""
    found = []
    for constraint in study.constraints:
        number = values[constraint.measure].number
        for bound, beyond in _bounds(constraint, number):
            found.append(beyond / (abs(bound) or 1.0))
    return tuple(found)


def violations(study: Study, values: Mapping[str, Value]) -> tuple[str, ...]:
    """One sentence a bound that does not hold."""
    found = []
    for constraint in study.constraints:
        number = values[constraint.measure].number
        for bound, beyond in _bounds(constraint, number):
            if beyond > 0:
                word = "at least" if bound == constraint.low and number < bound else "at most"
                found.append(f"{constraint.measure} must be {word} {bound:g}, not {number:g}")
    return tuple(found)


def front(study: Study, values: Sequence[Mapping[str, Value]]) -> list[int]:
    """Indices of the points on the Pareto front, of points that are all feasible."""
    signs = [1 if objective.direction == "minimize" else -1 for objective in study.objectives]
    costs = [[sign * number for sign, number in zip(signs, objectives(study, of), strict=True)] for of in values]
    return pareto_front(costs)


def _bounds(constraint: Constraint, number: float) -> list[tuple[float, float]]:
    """(bound, how far beyond it) of those that there are."""
    low = [] if constraint.low is None else [(constraint.low, constraint.low - number)]
    high = [] if constraint.high is None else [(constraint.high, number - constraint.high)]
    return low + high
