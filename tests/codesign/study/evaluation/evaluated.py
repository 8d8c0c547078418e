"""All tasks of a point, one after the other."""

from __future__ import annotations

from collections.abc import Mapping

from codesign.study.definition import Point, Study, points
from codesign.study.engine.task import Outcome, Task
from codesign.study.evaluation import StudyEvaluator


def evaluated(study: Study, at: Point, store: dict[str, Outcome]) -> dict[str, Outcome]:
    """All outcomes of a point, its confirmation's too; equal tasks are done once."""
    evaluator, done = StudyEvaluator(study), dict[str, Outcome]()
    for step in (evaluator.tasks, evaluator.confirmation):
        while tasks := step(at, done):
            for role, task in tasks.items():
                key = task.key(evaluator.sources(task.kind))
                store[key] = store.get(key) or evaluator.execute(task)
                done[role] = store[key]
    return done


def first(study: Study) -> Mapping[str, Task]:
    return StudyEvaluator(study).tasks(next(points(study)), {})
