"""`Watcher`: how far a study is, on standard error: a bar on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from .status import Status

LINE_SECONDS = 30.0
"""Between two lines where standard error is no terminal."""


class Watcher:
    """Shows each `Status` that it is told."""

    def __init__(self) -> None:
        console = Console(stderr=True, highlight=False)
        self._terminal = console.is_terminal
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
            disable=not self._terminal,
        )
        self._task = self._progress.add_task("search", total=None, left="")
        self._last = time.monotonic()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, status: Status) -> None:
        """Show how far the study is."""
        if self._terminal:
            left = "" if status.remaining is None else f"{_duration(status.remaining)} left"
            self._progress.update(
                self._task, description=summary(status), completed=status.finished, total=status.planned, left=left
            )
        elif time.monotonic() - self._last >= LINE_SECONDS:
            self._last = time.monotonic()
            left = "" if status.remaining is None else f", {_duration(status.remaining)} left"
            print(f"lockstep: {status.finished} of {status.planned} points: {summary(status)}{left}", file=sys.stderr)


def summary(status: Status) -> str:
    """Phase, front, best values, what failed and what was there already, in one line."""
    best = ", ".join(f"{measure} {number:.6g}" for measure, number in status.best.items())
    counts = {"failed": status.failed, "from the store": status.cached}
    parts = [status.phase, f"front of {status.front}{f' (best {best})' if best else ''}"]
    return ", ".join(parts + [f"{count} {name}" for name, count in counts.items() if count])


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
