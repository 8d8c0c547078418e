"""`run_study`: a study's points, one generation after the other, then its front, confirmed."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from ...provenance import provenance
from ..definition.built_in import reference
from ..definition.study import Study
from ..result import PointResult, StudyResult
from . import scores
from .dispatch import Dispatch
from .evaluator import Details, Evaluator
from .folder import STORE, check_study_folder
from .lock import locked
from .outputs import write_outputs
from .processes.workers import LocalWorkers, Workers
from .search import Search
from .status import Status
from .store import Store
from .trials import Trial, Trials

STATUS_SECONDS = 0.2
"""Between two calls of `on_status`, at least."""

OnStatus = Callable[[Status], None]


def run_study(
    study: Study,
    folder: str | os.PathLike[str],
    workers: int | None = None,
    ray: str | None = None,
    on_status: OnStatus = lambda status: None,
    evaluator: Evaluator | None = None,
) -> StudyResult:
    """Run a study in a folder, or go on with it; write there what it found, and return it.

    workers : processes on this machine; None: as many as processors
    ray : address of a Ray cluster, whose processes do the work instead
    on_status : called now and then
    evaluator : None: that of the study

    What the folder's store has is not computed again. An interrupt (``KeyboardInterrupt``) ends the workers; what there
    is then is written and returned, as ``interrupted``. Raises ``ValueError`` or ``OSError``, one sentence, where the
    folder holds other things, is in use or cannot be written; what was finished before is kept.
    """
    place = Path(folder)
    if workers is not None and workers < 1:
        raise ValueError(f"workers must be at least 1, not {workers!r}")
    check_study_folder(place, study.file)
    if evaluator is None:
        from ..evaluation.evaluator import StudyEvaluator

        evaluator = StudyEvaluator(study)
    place.mkdir(parents=True, exist_ok=True)
    with locked(place):
        started, clock = datetime.now(UTC), time.monotonic()
        # Before hours of work, after which it may not be there any more.
        text = None if study.file is None else study.file.read_text(encoding="utf-8")
        store = Store(place / STORE)
        evaluator = evaluator.informed(store)
        hands = _workers(evaluator, workers, ray)
        trials = Trials(study, evaluator)
        watch = _Watch(trials, on_status)
        dispatch = Dispatch(evaluator, store, hands, watch.step)
        state = "interrupted"
        try:
            trials.search(Search(study, store), dispatch)
            watch.phase = "confirmation"
            trials.confirm(dispatch)
            state = "complete"
        except KeyboardInterrupt:
            trials.conclude()
        finally:
            hands.close()
        watch.show()
        details = {t.index: evaluator.details(t.progress.point, t.progress.done) for t in trials.all if t.finished}
        notes = list(dict.fromkeys(note for detail in details.values() for note in detail.notes))
        if store.damaged:
            notes.append(f"{store.damaged} damaged entries of {place / STORE} were computed again")
        if state == "interrupted":
            notes.append("the study was interrupted: its front is that of the points so far, and not confirmed")
        front = {trial.index for trial in trials.front()}
        result = StudyResult(
            study,
            tuple(_point(study, place, t, t.index in front, details[t.index]) for t in trials.all if t.finished),
            state,
            trials.planned,
            provenance()
            | {
                "started": started.isoformat(timespec="seconds"),
                "seconds": f"{time.monotonic() - clock:.1f}",
                "workers": hands.name,
                "tasks computed": str(len(dispatch.computed)),
                "tasks from the store": str(len(dispatch.stored)),
            },
            tuple(notes),
        )
        write_outputs(place, store, result, text, {index: detail.files for index, detail in details.items()})
        return result


def _workers(evaluator: Evaluator, count: int | None, ray: str | None) -> Workers:
    if ray is not None:
        from .processes.ray_workers import RayWorkers

        return RayWorkers(evaluator, ray)
    return LocalWorkers(evaluator, count or len(os.sched_getaffinity(0)))


def _point(study: Study, folder: Path, trial: Trial, front: bool, details: Details) -> PointResult:
    words = ["lockstep", "study", reference(study), "-o", str(folder.absolute()), "--point", str(trial.index)]
    return PointResult(
        trial.index,
        trial.progress.point,
        trial.values,
        trial.violations,
        front,
        trial.failure,
        details.layers,
        details.timeline,
        details.test_accuracy,
        not trial.progress.computed,
        shlex.join(words),
    )


class _Watch:
    """Finds out how far the trials are, and tells it, not too often."""

    def __init__(self, trials: Trials, tell: OnStatus) -> None:
        self.phase = "search"
        self._trials, self._tell = trials, tell
        self._start = self._last = time.monotonic()
        self._first: tuple[float, int] | None = None  # seconds, and points computed, when some were

    def step(self) -> None:
        """Tell, unless that was just done."""
        if time.monotonic() - self._last >= STATUS_SECONDS:
            self.show()

    def show(self) -> None:
        """Tell."""
        self._last = time.monotonic()
        trials, study = self._trials, self._trials.study
        trials.conclude()
        finished = [trial for trial in trials.all if trial.finished]
        feasible = [trial for trial in finished if trial.feasible]
        numbers = list(zip(*(scores.objectives(study, trial.values) for trial in feasible), strict=True))
        best = {
            objective.measure: min(column) if objective.direction == "minimize" else max(column)
            for objective, column in zip(study.objectives, numbers, strict=False)
        }
        computed = sum(trial.progress.computed for trial in finished)
        seconds = self._last - self._start
        self._tell(
            Status(
                self.phase,
                trials.planned,
                len(finished),
                sum(trial.failure is not None for trial in finished),
                len(finished) - computed,
                len(trials.front()),
                best,
                seconds,
                self._remaining(seconds, computed, trials.planned - len(finished)),
            )
        )

    def _remaining(self, seconds: float, computed: int, points: int) -> float | None:
        """Seconds for so many points, by the pace since the first ones: before those, workers start."""
        if self._first is None and computed:
            self._first = seconds, computed
        if self.phase != "search" or self._first is None or computed == self._first[1]:
            return None
        return (seconds - self._first[0]) / (computed - self._first[1]) * points
