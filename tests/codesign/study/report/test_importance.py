"""Which dimension matters: on a whole grid the shares of the variance, else Optuna's estimate of them."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import product

import pytest

from codesign.study.definition.study import Dimension, Objective, Point
from codesign.study.report.importance import importances
from codesign.study.result import PointResult, StudyResult
from codesign.study.value import Value
from emulator import AcceleratorConfig
from tests.codesign.study.report.made_up import made_up

A, B, C = (0, 1, 2, 5), ("x", "y"), (1, 2, 3)


def _grid() -> StudyResult:
    """cycles = 3a + 10 [b = y] + 2 a [b = y], and nothing of c."""
    space = tuple(Dimension(name, values, ({},) * len(values)) for name, values in zip("abc", (A, B, C), strict=True))
    study = replace(made_up().study, space=space, objectives=(Objective("cycles", "minimize"),))
    points = [
        PointResult(index, Point({"a": a, "b": b, "c": c}, AcceleratorConfig()), {"cycles": Value(_cycles(a, b))})
        for index, (a, b, c) in enumerate(product(A, B, C))
    ]
    return StudyResult(study, tuple(points))


def _cycles(a: int, b: str) -> int:
    return 3 * a + (b == "y") * (10 + 2 * a)


def test_the_whole_grid() -> None:
    numbers = [Fraction(_cycles(a, b)) for a in A for b in B]
    mean = sum(numbers) / 8
    whole = sum((number - mean) ** 2 for number in numbers) / 8
    of_a = sum((sum(map(Fraction, (_cycles(a, b) for b in B))) / 2 - mean) ** 2 for a in A) / 4
    of_b = sum((sum(map(Fraction, (_cycles(a, b) for a in A))) / 4 - mean) ** 2 for b in B) / 2
    (found,) = importances(_grid())
    assert (found.measure, found.method, found.points) == ("cycles", "exact", 24)
    assert found.shares == pytest.approx({"a": float(of_a / whole), "b": float(of_b / whole), "c": 0}, abs=1e-12)
    assert sum(found.shares.values()) < 1  # a and b together


def test_a_part_of_the_grid() -> None:
    result = _grid()
    kept = tuple(point for point in result.points if point.index % 5)
    (found,) = importances(replace(result, points=kept))
    assert (found.method, found.points) == ("forest", len(kept))
    assert found.shares["a"] > found.shares["c"] < found.shares["b"]
    assert 0.5 < sum(found.shares.values()) <= 1 + 1e-9
    assert importances(replace(result, points=kept)) == [found]  # the same, each time
    assert importances(replace(result, points=kept[:7])) == []  # too few
    assert importances(replace(result, points=())) == []
