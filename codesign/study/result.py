"""`StudyResult`: what a study found; the page, the tables and the command line show nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .definition.study import Point, Study
from .value import Value


@dataclass(frozen=True, eq=False)
class PointResult:
    """One evaluated point.

    index : from 0, in the order in which the search asked for it; a duplicate of an earlier one has no entry of its own
    values : measure → `Value`; a measure that could not be had is absent
    violations : one sentence a constraint that does not hold; empty: feasible
    front : whether no feasible point is better in one objective and as good in all others
    failure : one sentence, or None; a failed point has no front, no violations
    layers : rows of the layers' profile, of `LayerProfile.as_dict` with "energy": {memory: pJ} each, and where
        there is training the "weight_bits" and "activation_bits" of the layer; empty if not run
    timeline : [unit, layer, start, end] of what ran, for the page; empty if not kept
    test_accuracy : of points on the front, where there is training
    cached : whether nothing had to be computed for it
    command : the shell command that computes the point anew, alone, and compares
    """

    index: int
    point: Point
    values: Mapping[str, Value] = field(default_factory=dict)
    violations: tuple[str, ...] = ()
    front: bool = False
    failure: str | None = None
    layers: tuple[Mapping[str, Any], ...] = ()
    timeline: tuple[tuple[str, str, int, int], ...] = ()
    test_accuracy: float | None = None
    cached: bool = False
    command: str = ""


@dataclass(frozen=True, eq=False)
class StudyResult:
    """A study and its points.

    state : ``complete``, ``interrupted`` or ``running``
    planned : points that the search may ask for
    provenance : "version", "commit", "processor", "started", "seconds", "workers", "sources" and the like, as text
    notes : sentences a reader must know (the area model is of an older RTL, a measure could not be had, …)
    """

    study: Study
    points: tuple[PointResult, ...]
    state: str = "complete"
    planned: int = 0
    provenance: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def front(self) -> tuple[PointResult, ...]:
        """The points of the Pareto front, by index."""
        return tuple(point for point in self.points if point.front)
