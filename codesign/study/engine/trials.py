"""`Trials`: the points that a study has asked for, what they are worth, and which are on its front."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from ..definition.points import IllegalPointError, combinations, point, space_size
from ..definition.study import Study
from ..value import Value
from . import scores
from .dispatch import Dispatch, Progress
from .evaluator import Evaluator
from .search import Labels, Search, Told, choices

STALE = 8
"""Generations in a row without a new point, after which a search is at its end."""


@dataclass(eq=False)
class Trial:
    """One different point. values : of its measures, once all its tasks are done; failure : one sentence, or None."""

    index: int
    labels: Labels
    progress: Progress
    values: dict[str, Value] = field(default_factory=dict)
    violations: tuple[str, ...] = ()
    failure: str | None = None
    finished: bool = False
    confirmed: bool = False

    @property
    def feasible(self) -> bool:
        return self.finished and self.failure is None and not self.violations


class Trials:
    """All of a study's points, by index the order in which the search asked for them."""

    def __init__(self, study: Study, evaluator: Evaluator) -> None:
        self.study, self.evaluator = study, evaluator
        self.all: list[Trial] = []
        self.planned = _planned(study)
        self._seen: dict[Labels, Trial | None] = {}
        self._open: list[Trial] = []

    def search(self, search: Search, dispatch: Dispatch) -> None:
        """Ask, evaluate and tell, generation by generation, until there is no more to ask for."""
        told: list[list[Told]] = []
        stale = 0
        while stale < STALE:
            before = len(self.all)
            generation, full = self._take(search.ask(told))
            dispatch.run([trial.progress for trial in self._open], self.evaluator.tasks)
            self.conclude()
            if full or self.study.search.sampler == "grid" or len(self._seen) == space_size(self.study):
                return
            told.append([self._told(labels) for labels in generation])
            stale = stale + 1 if len(self.all) == before else 0

    def confirm(self, dispatch: Dispatch) -> None:
        """Confirm the front; where that makes other points belong to it, confirm those too, until all are confirmed."""
        while new := [trial for trial in self.front() if not trial.confirmed]:
            dispatch.run([trial.progress for trial in new], self.evaluator.confirmation)
            for trial in new:
                trial.confirmed = True
                self._value(trial)

    def conclude(self) -> None:
        """Find out what the points are worth whose tasks have all ended."""
        for trial in self._open:
            if trial.progress.settled:
                self._value(trial)
        self._open = [trial for trial in self._open if not trial.finished]

    def front(self) -> list[Trial]:
        """The feasible points that no other dominates, as far as is known."""
        feasible = [trial for trial in self.all if trial.feasible]
        return [feasible[index] for index in scores.front(self.study, [trial.values for trial in feasible])]

    def _take(self, asked: Iterable[Labels]) -> tuple[list[Labels], bool]:
        """Make trials of points that are new; all points that were asked for, and whether there may be no more."""
        generation: list[Labels] = []
        for labels in asked:
            if labels not in self._seen:
                if len(self.all) == self.planned:
                    return generation, True
                self._seen[labels] = self._new(labels)
            generation.append(labels)
        return generation, len(self.all) == self.planned

    def _new(self, labels: Labels) -> Trial | None:
        try:
            made = point(self.study, choices(self.study, labels))
        except IllegalPointError:
            return None
        trial = Trial(len(self.all), labels, Progress(made))
        self.all.append(trial)
        self._open.append(trial)
        return trial

    def _value(self, trial: Trial) -> None:
        trial.finished = True
        trial.failure = trial.progress.failure
        if trial.failure is None:
            trial.values = dict(self.evaluator.values(trial.progress.point, trial.progress.done))
            trial.failure = scores.unusable(self.study, trial.values)
            if trial.failure is not None:
                trial.values = {name: value for name, value in trial.values.items() if math.isfinite(value.number)}
        trial.violations = () if trial.failure else scores.violations(self.study, trial.values)

    def _told(self, labels: Labels) -> Told:
        trial = self._seen[labels]
        if trial is None or trial.failure is not None:
            return Told(labels, None)
        return Told(labels, scores.objectives(self.study, trial.values), scores.excess(self.study, trial.values))


def _planned(study: Study) -> int:
    """Points that the search may ask for."""
    most = study.search.trials
    if study.search.sampler != "grid":
        return min(most or space_size(study), space_size(study))
    legal = 0
    for labels in combinations(study):
        if legal == most:
            break
        try:
            point(study, labels)
        except IllegalPointError:
            continue
        legal += 1
    return legal
