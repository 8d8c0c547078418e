"""`Dispatch`: the tasks of many points, each done once, by workers or by the store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from ..definition.study import Point
from .evaluator import Evaluator
from .processes.workers import Workers
from .store import Store
from .task import Outcome, Task

Step = Callable[[Point, Mapping[str, Outcome]], Mapping[str, Task]]
"""`Evaluator.tasks` or `Evaluator.confirmation`."""


@dataclass(eq=False)
class Progress:
    """How far the work on one point is.

    done : role → outcome
    keys : role → (kind, key) of its task, of finished and of running ones
    computed : whether a worker had to do any of it
    settled : whether nothing is left to be done, because of a failure or because all is done
    failure : one sentence, or None
    """

    point: Point
    done: dict[str, Outcome] = field(default_factory=dict)
    keys: dict[str, tuple[str, str]] = field(default_factory=dict)
    computed: bool = False
    settled: bool = False
    failure: str | None = None


class Dispatch:
    """Does what points need. Tasks with equal keys are one, over all points and calls.

    computed, stored : (kind, key) of tasks that workers have done, and of those that the store had
    on_step : called when a point is finished, and from time to time
    """

    def __init__(
        self, evaluator: Evaluator, store: Store, workers: Workers, on_step: Callable[[], None] = lambda: None
    ) -> None:
        self.computed: set[tuple[str, str]] = set()
        self.stored: set[tuple[str, str]] = set()
        self._evaluator, self._store, self._workers, self._on_step = evaluator, store, workers, on_step
        self._outcomes: dict[tuple[str, str], Outcome] = {}
        self._sources: dict[str, str] = {}
        self._waiting: dict[tuple[str, str], list[tuple[Progress, str]]] = {}

    def run(self, points: Iterable[Progress], step: Step) -> None:
        """Do all tasks that `step` names for these points, until it names no more; outcomes are in each `Progress`."""
        begun = list(points)
        for progress in begun:
            progress.settled = False
        for progress in begun:
            self._advance(progress, step)
        self._on_step()
        while self._waiting:
            for ticket, outcome, kept in self._workers.wait():
                kind, _, key = ticket.partition("/")
                if kept:
                    self._store.put(kind, key, outcome)
                self._outcomes[kind, key] = outcome
                self.computed.add((kind, key))
                for progress, role in self._waiting.pop((kind, key)):
                    progress.done[role] = outcome
                    progress.computed = True
                    self._advance(progress, step)
            self._on_step()

    def _advance(self, progress: Progress, step: Step) -> None:
        """Start what can start, for as long as the store answers."""
        answered = True
        while answered:
            progress.failure = next((outcome.failure for outcome in progress.done.values() if outcome.failure), None)
            if progress.failure is not None:
                break
            try:
                tasks = step(progress.point, progress.done)
            except ValueError as error:  # of what the point's own outcomes say
                progress.failure = str(error)
                break
            new = {role: task for role, task in tasks.items() if role not in progress.keys}
            answered = any([self._begin(progress, role, task) for role, task in new.items()])
        progress.settled = progress.failure is not None or len(progress.done) == len(progress.keys)

    def _begin(self, progress: Progress, role: str, task: Task) -> bool:
        """Have a task done; whether its outcome is there at once."""
        if task.kind not in self._sources:
            self._sources[task.kind] = self._evaluator.sources(task.kind)
        name = (task.kind, task.key(self._sources[task.kind]))
        progress.keys[role] = name
        if name in self._waiting:
            self._waiting[name].append((progress, role))
            return False
        if name not in self._outcomes:
            outcome = self._store.get(*name)
            if outcome is None:
                self._waiting[name] = [(progress, role)]
                self._workers.submit("/".join(name), task)
                return False
            self._outcomes[name] = outcome
            self.stored.add(name)
        progress.done[role] = self._outcomes[name]
        progress.computed = progress.computed or name in self.computed
        return True
