"""Points per minute of a study without training, what a second worker brings, and the workers' memory."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from ...study import run_study
from ...study.definition import Study, points
from ...study.engine.dispatch import Dispatch, Progress
from ...study.engine.processes.workers import LocalWorkers
from ...study.engine.store import Store
from ...study.evaluation import StudyEvaluator
from ..rows import row
from .spaces import hardware_study

LEAST_POINTS = 300
"""Per minute."""
LEAST_GAIN = 1.8
MOST_BYTES = 1 << 30
ROUNDS = 5
BATCH = 16
"""Points of a round."""


def rows() -> list[dict[str, Any]]:
    """The table's rows."""
    study = hardware_study()
    speed, processor = points_per_minute(study)
    gain, peak = two_over_one(study)
    return [
        row(
            "study: ResNet-8, cycles, energy and predicted area, cold store, 2 workers", speed, "points/min",
            f"≥ {LEAST_POINTS}", speed >= LEAST_POINTS,
        ),
        row("study: processor time of a point, the workers' starts included", processor, "s"),
        row("study: 2 workers over 1, warm", gain, "times", f"≥ {LEAST_GAIN}", gain >= LEAST_GAIN),
        row(
            "study: a worker's memory, no training, the larger of 2", peak / MOST_BYTES, "GiB", "≤ 1",
            peak <= MOST_BYTES,
        ),
    ]  # fmt: skip


def points_per_minute(study: Study) -> tuple[float, float]:
    """Of a whole study in an empty folder with two workers, from their start to the written result.

    The second figure is the processor seconds of a point, which say what the first would be on an idle machine.
    """
    with tempfile.TemporaryDirectory() as folder:
        start, spent = time.perf_counter(), _processor_seconds()
        result = run_study(study, folder, workers=2)
        seconds, spent = time.perf_counter() - start, _processor_seconds() - spent
    failed = [point.failure for point in result.points if point.failure is not None]
    if failed:
        raise RuntimeError(f"points of the benchmark's study failed: {failed[0]}")
    return 60 * len(result.points) / seconds, spent / len(result.points)


def _processor_seconds() -> float:
    """Of this process and of those that it has started and that have ended."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def two_over_one(study: Study) -> tuple[float, int]:
    """(How much sooner two workers end than one, the most memory that one of the two took in bytes).

    Both have done tasks before. They take turns with batches of points that none of them has seen.
    """
    batches = iter(_batches(list(points(study))))
    with tempfile.TemporaryDirectory() as folder:
        one, two = (_Team(study, count, Path(folder, str(count))) for count in (1, 2))
        try:
            for team in (one, two):
                team.seconds(next(batches))
            gains = [one.seconds(batch) / two.seconds(batch) for batch, _ in zip(batches, range(ROUNDS), strict=False)]
            return statistics.median(gains), max(map(peak_memory, two.workers.processes))
        finally:
            one.workers.close()
            two.workers.close()


def peak_memory(process: int) -> int:
    """The most memory that a process has had at once, in bytes (Linux: VmHWM)."""
    for line in Path(f"/proc/{process}/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/{process}/status does not tell the peak of its memory")


def _batches(every: list[Any]) -> list[list[Any]]:
    return [every[first : first + BATCH] for first in range(0, len(every), BATCH)]


class _Team:
    """Workers, with a store of their own."""

    def __init__(self, study: Study, count: int, folder: Path) -> None:
        self.evaluator = StudyEvaluator(study)
        self.workers = LocalWorkers(self.evaluator, count)
        self.dispatch = Dispatch(self.evaluator, Store(folder), self.workers)

    def seconds(self, batch: list[Any]) -> float:
        """To find out what these points are worth."""
        start = time.perf_counter()
        self.dispatch.run([Progress(point) for point in batch], self.evaluator.tasks)
        return time.perf_counter() - start
