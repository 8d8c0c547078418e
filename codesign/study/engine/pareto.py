"""The Pareto front, exactly: no point in it is dominated, and equal points are all in it."""

from __future__ import annotations

from collections.abc import Sequence


def dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether `one` is as good everywhere and better somewhere; smaller is better."""
    return all(a <= b for a, b in zip(one, other, strict=True)) and any(a < b for a, b in zip(one, other, strict=True))


def pareto_front(costs: Sequence[Sequence[float]]) -> list[int]:
    """Indices, ascending, of the points that no other dominates. costs : (points, objectives), smaller is better."""
    front: list[int] = []
    # In lexicographic order nothing is dominated by what comes later, so the front so far is all to compare with.
    for index in sorted(range(len(costs)), key=lambda index: tuple(costs[index])):
        if not any(dominates(costs[kept], costs[index]) for kept in front):
            front.append(index)
    return sorted(front)
