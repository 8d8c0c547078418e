"""`StudyEvaluator`: which tasks find out what a point is worth, and what their outcomes make of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..definition.points import point as point_of
from ..definition.study import Point, Study
from ..engine.evaluator import Details
from ..engine.task import Outcome, Task
from ..value import Value
from .measured import measures
from .run import run
from .sources import sources
from .tasks import RUN, run_task

_EXECUTE: Mapping[str, Callable[[Task], Outcome]] = {RUN: run}


@dataclass(frozen=True)
class StudyEvaluator:
    """The engine's `Evaluator` of a study."""

    study: Study

    def point(self, choices: Mapping[str, Any]) -> Point:
        """The point of {dimension: label}; ``ValueError`` of one sentence where they make no accelerator."""
        return point_of(self.study, choices)

    def tasks(self, point: Point, done: Mapping[str, Outcome]) -> Mapping[str, Task]:
        """{role: task} of all that can start when the outcomes in `done` are there."""
        if "run" in done:
            return {}
        return {"run": run_task({"builtin": self.study.network.name}, point.config, self.study.latency, {})}

    def confirmation(self, point: Point, done: Mapping[str, Outcome]) -> Mapping[str, Task]:
        """The same of the work that only the points of the front get."""
        return {}

    def values(self, point: Point, done: Mapping[str, Outcome]) -> Mapping[str, Value]:
        """{measure: value}, of the measures that `done` tells."""
        return measures(self.study, point, done)

    def details(self, point: Point, done: Mapping[str, Outcome]) -> Details:
        """Layers, timeline and files of a point."""
        outcome = done.get("run")
        if outcome is None or outcome.failure is not None:
            return Details()
        return Details(
            layers=tuple(outcome.values["layers"]),
            timeline=tuple((unit, layer, start, end) for unit, layer, start, end in outcome.values["timeline"]),
        )

    def sources(self, kind: str) -> str:
        """Digest of the code that does tasks of this kind."""
        return sources(kind)

    def prepare(self) -> None:
        """Load the machine's compiled loop, or compile it."""
        from ...execution.execution import compile_machine

        compile_machine()

    def execute(self, task: Task) -> Outcome:
        """Do a task; what goes wrong with the work is the outcome's failure."""
        started = time.process_time()
        try:
            outcome = _EXECUTE[task.kind](task)
        except (ValueError, TypeError, RuntimeError) as error:
            outcome = Outcome({}, failure=str(error))
        seconds = time.process_time() - started
        return Outcome(outcome.values, outcome.files, outcome.failure, seconds)
