"""The front as a picture, for a README, a notebook or a paper: by matplotlib, without a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..objectives import MEASURES
from ..result import PointResult, StudyResult
from .points_table import measures_of, state_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's colours, and a shape each: nobody needs to tell colours apart.
_LOOKS = {
    "front": ("#D55E00", "D", "on the study's front"),
    "feasible": ("#0072B2", "o", "feasible"),
    "infeasible": ("#767676", "x", "violates a constraint"),
}


def pareto(result: StudyResult, x: str, y: str) -> list[PointResult]:
    """The feasible points that no other one beats in one of two measures without losing in the other, by x.

    Of points that are equal in both, the first. An objective's direction is the study's, another measure's the usual.
    """
    signs = [_sign(result, name) for name in (x, y)]
    points = [p for p in result.points if state_of(p) in ("front", "feasible") and x in p.values and y in p.values]
    ranked = sorted(points, key=lambda p: (signs[0] * p.values[x].number, signs[1] * p.values[y].number, p.index))
    front: list[PointResult] = []
    for point in ranked:
        if not front or signs[1] * point.values[y].number < signs[1] * front[-1].values[y].number:
            front.append(point)
    return sorted(front, key=lambda p: p.values[x].number)


def _sign(result: StudyResult, name: str) -> int:
    direction = next((one.direction for one in result.study.objectives if one.measure == name), MEASURES[name].better)
    return 1 if direction == "minimize" else -1


def front_figure(result: StudyResult, x: str, y: str, *, log: tuple[bool, bool] = (False, False)) -> Figure:
    """All points in two measures and the front of these two, connected; failed points are not in it.

    log : whether x, y have a logarithmic axis

    Returns a ``matplotlib.figure.Figure`` of 7.2 × 4.2 inches, to save or to show; nothing global is changed. Raises
    ``ValueError`` where no point has the measure.
    """
    known = measures_of(result)
    for axis, name in (("x", x), ("y", y)):
        if name not in known:
            raise ValueError(
                f"{axis} must be a measure that the study's points have ({', '.join(known)}), not {name!r}"
            )
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.subplots()
    front = pareto(result, x, y)
    axes.plot(
        [p.values[x].number for p in front], [p.values[y].number for p in front],
        color="#D55E00", linewidth=1.5, zorder=1, label="front of these two",
    )  # fmt: skip
    for state, (color, marker, label) in _LOOKS.items():
        there = [p for p in result.points if state_of(p) == state and x in p.values and y in p.values]
        if there:
            axes.scatter(
                [p.values[x].number for p in there], [p.values[y].number for p in there],
                s=34 if state == "front" else 22, c=color, marker=marker, label=f"{label} ({len(there)})", zorder=2,
            )  # fmt: skip
    axes.set(xscale="log" if log[0] else "linear", yscale="log" if log[1] else "linear")
    axes.set(xlabel=axis_title(result, x), ylabel=axis_title(result, y))
    axes.grid(color="#e2e8f0")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return figure


def axis_title(result: StudyResult, name: str) -> str:
    """As ``energy_uj, µJ (less is better)``."""
    unit = MEASURES[name].unit
    unit = "" if unit in ("", "share", name) else f", {unit}"
    return f"{name}{unit} ({'less' if _sign(result, name) > 0 else 'more'} is better)"
