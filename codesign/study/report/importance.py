"""How much each dimension of the space matters for each objective: shares of the objective's variance (fANOVA)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..definition.study import Dimension
from ..result import PointResult, StudyResult

TREES = 32
FEWEST = 8
"""Points from which a forest is fitted: fewer say nothing about several dimensions."""


@dataclass(frozen=True)
class Importance:
    """Of one objective.

    shares : dimension → share of the variance that it explains alone, 0 to 1; what is left is due to combinations
    method : ``exact``: the means over a grid of which every point is there; ``forest``: Optuna's fANOVA, an estimate
    """

    measure: str
    shares: dict[str, float]
    method: str
    points: int


def importances(result: StudyResult) -> list[Importance]:
    """Of each objective that has a value at several points and is not the same at all of them."""
    made = []
    for objective in result.study.objectives:
        points = [point for point in result.points if point.failure is None and objective.measure in point.values]
        numbers = [float(point.values[objective.measure].number) for point in points]
        varying = [one for one in result.study.space if len({_at(one, point) for point in points}) > 1]
        if len(set(numbers)) < 2 or not varying:
            continue
        if len(points) == math.prod(len(one.labels) for one in result.study.space):
            shares = {one.name: _main_effect(one, points, numbers) for one in varying}
            made.append(Importance(objective.measure, shares, "exact", len(points)))
        elif len(points) >= FEWEST:
            made.append(Importance(objective.measure, _forest(varying, points, numbers), "forest", len(points)))
    return made


def _at(dimension: Dimension, point: PointResult) -> int:
    return dimension.labels.index(point.point.choices[dimension.name])


def _main_effect(dimension: Dimension, points: Sequence[PointResult], numbers: Sequence[float]) -> float:
    """Variance of the means over all points with the same choice, over the whole variance; the grid is complete."""
    groups: dict[int, list[float]] = {}
    for point, number in zip(points, numbers, strict=True):
        groups.setdefault(_at(dimension, point), []).append(number)
    mean = math.fsum(numbers) / len(numbers)
    whole = math.fsum((number - mean) ** 2 for number in numbers)
    between = math.fsum(len(group) * (math.fsum(group) / len(group) - mean) ** 2 for group in groups.values())
    return between / whole


def _forest(
    dimensions: Sequence[Dimension], points: Sequence[PointResult], numbers: Sequence[float]
) -> dict[str, float]:
    """Hutter, Hoos, Leyton-Brown, ICML 2014: variance shares of single dimensions in a random forest's prediction."""
    import optuna
    from optuna.importance import FanovaImportanceEvaluator

    spread = {one.name: _distribution(one) for one in dimensions}
    with _quiet():
        study = optuna.create_study()
    for point, number in zip(points, numbers, strict=True):
        params = {one.name: _param(one, point) for one in dimensions}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=spread, value=number))
    found = FanovaImportanceEvaluator(n_trees=TREES, seed=0).evaluate(study)
    return {one.name: float(found[one.name]) for one in dimensions}


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna tells of each study that is made; this one is nobody's."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def _ordered(dimension: Dimension) -> bool:
    return all(type(label) in (int, float) for label in dimension.labels)


def _distribution(dimension: Dimension) -> Any:
    """Numbers by their rank, so that unequal steps (8, 16, 64) weigh the same; names without an order."""
    from optuna.distributions import CategoricalDistribution, IntDistribution

    last = len(dimension.labels) - 1
    return IntDistribution(0, last) if _ordered(dimension) else CategoricalDistribution([*range(last + 1)])


def _param(dimension: Dimension, point: PointResult) -> int:
    label = point.point.choices[dimension.name]
    return sorted(dimension.labels).index(label) if _ordered(dimension) else dimension.labels.index(label)
