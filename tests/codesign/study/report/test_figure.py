"""The front as a picture."""

from __future__ import annotations

from pathlib import Path

import pytest

from codesign.study.report.figure import front_figure, pareto
from tests.codesign.study.report.made_up import made_up


@pytest.mark.parametrize(
    ("x", "y", "front"),
    [
        ("luts", "cycles", [0, 4]),  # both: less is better; 1 and 5 have more LUTs and no fewer cycles
        ("luts", "accuracy", [0, 1]),  # accuracy: more is better, and 24 bits have it
        ("cycles", "accuracy", [5]),
        ("accuracy", "cycles", [5]),
    ],
)
def test_the_front_of_two_measures(x: str, y: str, front: list[int]) -> None:
    assert [point.index for point in pareto(made_up(), x, y)] == front


def test_the_picture_has_every_point_that_has_both(tmp_path: Path) -> None:
    figure = front_figure(made_up(), "luts", "cycles", log=(False, True))
    (axes,) = figure.axes
    drawn = [tuple(place) for one in axes.collections for place in one.get_offsets().tolist()]
    assert len(drawn) == 11 and (2088.0, 250000.0) in drawn
    assert axes.get_xlabel() == "luts, LUTs (less is better)" and axes.get_yscale() == "log"
    figure.savefig(tmp_path / "front.svg")
    with pytest.raises(
        ValueError, match=r"^y must be a measure that the study's points have \(cycles, .*\), not 'ffs'$"
    ):
        front_figure(made_up(), "luts", "ffs")
