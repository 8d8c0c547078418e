"""`Status`: how far a study is, for whoever watches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Status:
    """How far a study is.

    phase : ``search`` or ``confirmation``
    planned : points that the search may ask for
    finished, failed, cached : points so far; failed and cached ones are finished too
    front : size of the Pareto front of the points so far
    best : objective → its best number among feasible points
    remaining : seconds of the search, or None where nobody can tell
    """

    phase: str
    planned: int
    finished: int = 0
    failed: int = 0
    cached: int = 0
    front: int = 0
    best: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    remaining: float | None = None
