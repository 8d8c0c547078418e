"""`Evaluator`: what the engine knows of the evaluation of points; tests run it with a made-up one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

from ..definition.study import Point
from ..value import Value
from .store import Store
from .task import Executor, Outcome, Task


@dataclass(frozen=True, eq=False)
class Details:
    """What the outcomes of a point tell beside its measures.

    layers, timeline, test_accuracy : as `PointResult` has them
    files : name → bytes, for the point's own folder beside its config ("model.onnx")
    notes : sentences that a reader of the whole study must know
    """

    layers: tuple[Mapping[str, Any], ...] = ()
    timeline: tuple[tuple[str, str, int, int], ...] = ()
    test_accuracy: float | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Evaluator(Executor, Protocol):
    """Which work finds out what a point is worth. It is picklable, and a pure function of its study and of
    what it is told by `informed`.
    """

    def informed(self, store: Store) -> Self:
        """The same evaluator, told what its values depend on of a folder's store; called once, before anything else.

        For one and the same study and folder it is always told the same.
        """
        ...

    def tasks(self, point: Point, done: Mapping[str, Outcome]) -> Mapping[str, Task]:
        """{role: task} of all that can start when the outcomes of the roles in `done` are there, and is not among them.

        Empty where there is no more to do, or an outcome that the rest needs has failed. Different points often give
        tasks with equal keys: those are done once.
        """
        ...

    def confirmation(self, point: Point, done: Mapping[str, Outcome]) -> Mapping[str, Task]:
        """The same of the work that only the points of the front get, after the search: test data, synthesis."""
        ...

    def values(self, point: Point, done: Mapping[str, Outcome]) -> Mapping[str, Value]:
        """{measure: value}, of the measures that `done` tells; called again after the confirmation."""
        ...

    def details(self, point: Point, done: Mapping[str, Outcome]) -> Details:
        """What else `done` tells, at the study's end."""
        ...

    def sources(self, kind: str) -> str:
        """Digest of the code that does tasks of this kind, a part of their keys."""
        ...

    def files(self) -> Mapping[str, Path]:
        """Relative name → file or folder that tasks read, for a machine that does not have the study's folder."""
        ...

    def at(self, folder: Path) -> Self:
        """The same evaluator with its `files` in `folder`."""
        ...
