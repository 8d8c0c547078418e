"""What a command shows: tables on standard output, progress on standard error, JSON where it is asked for."""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from emulator.announce import announcing

from .files import check_writable, naming, write_text
from .table import Table

MOST_WIDTH = 100_000
"""Columns of a terminal, more than any table needs."""

SILENT_SECONDS = 2
"""How long a step may say nothing."""

OnStep = Callable[[int, int], None]
"""Called with (steps done, steps in all)."""


class Output:
    """Where a command's results go.

    json_file : None, a file, or ``-`` for standard output, which then holds nothing else: tables go to standard error
    """

    def __init__(self, json_file: str | None) -> None:
        self.json_file = json_file
        self.console = Console(stderr=json_file == "-", highlight=False)
        if json_file not in (None, "-"):
            check_writable(Path(json_file))

    def show(self, *parts: Table | str) -> None:
        """Print tables and lines for people."""
        with naming("standard error" if self.console.stderr else "standard output"):
            for part in parts:
                if isinstance(part, Table):
                    self.console.print(part.rich())
                else:
                    self.console.print(part, markup=False, soft_wrap=True)

    def fits(self, table: Table) -> bool:
        """Whether the table can be shown without breaking a cell."""
        unbounded = self.console.options.update(max_width=MOST_WIDTH)
        return self.console.measure(table.rich(), options=unbounded).maximum <= self.console.width

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write the machine-readable result if it is asked for."""
        if self.json_file == "-":
            with naming("standard output"):
                print(to_json(result), end="", flush=True)
        elif self.json_file is not None:
            write_text(self.json_file, to_json(result))


def to_json(value: Mapping[str, Any]) -> str:
    """JSON text; NumPy's numbers and arrays become plain ones. NaN and infinities are a ``ValueError``."""
    text = json.dumps(value, indent=2, default=_plain, allow_nan=False)
    # Lists of numbers on one line: a string of JSON holds no line break, so nothing else can match.
    return re.sub(r"\[\n[-+.,\w\s]*\]", lambda match: re.sub(r"\s+", " ", match[0]), text) + "\n"


def _plain(value: object) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"a result must be plain values, not {type(value).__name__}")


class Phases:
    """The steps of long work, each with its seconds kept and shown on standard error.

    On a terminal each has a progress bar; in a log, one that takes longer than `SILENT_SECONDS` has a line. What
    `emulator.announce` tells is a line on both.

    seconds : phase → seconds, in the order in which they ran
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description:<34}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._announced = ExitStack()

    def __enter__(self) -> Self:
        self._progress.start()
        self._announced.enter_context(announcing(self._tell))
        return self

    def __exit__(self, *_: object) -> None:
        self._announced.close()
        self._progress.stop()

    def _tell(self, text: str) -> None:
        if self._progress.disable:
            print(text, file=sys.stderr, flush=True)
        else:
            self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def phase(self, name: str, first: str | None = None) -> Iterator[OnStep]:
        """One step; what the block gets tells the bar how far it is, and at the block's end it is full.

        first : what the step is called until the block has told that for the first time
        """
        task = self._progress.add_task(first or name, total=None)
        start = time.perf_counter()
        late = threading.Timer(SILENT_SECONDS, self._tell, [f"{first or name} …"])
        late.daemon = True
        if self._progress.disable:
            late.start()

        def on_step(done: int, steps: int) -> None:
            self._progress.update(task, description=name, completed=done, total=steps)

        try:
            yield on_step
        finally:
            late.cancel()
        self.seconds[name] = time.perf_counter() - start
        steps = self._progress.tasks[task].total or 1
        self._progress.update(task, description=name, completed=steps, total=steps)
