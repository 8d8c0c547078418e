"""`Evaluator`: what the engine knows of the evaluation of points; tests run it with a made-up one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from ..definition.study import Point
from ..value import Value
from .task import Outcome, Task


class Evaluator(Protocol):
    """Which work finds out what a point is worth. It is picklable, and a pure function of its study."""

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

    def sources(self, kind: str) -> str:
        """Digest of the code that does tasks of this kind, a part of their keys."""
        ...

    def execute(self, task: Task) -> Outcome:
        """Do a task, in whatever process. What goes wrong with the work is the outcome's failure, not an exception."""
        ...
