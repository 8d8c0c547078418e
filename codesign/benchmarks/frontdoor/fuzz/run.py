"""Damaged files by the thousand: `verdicts` judges them in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from .judge import NOT_RUN
from .worker import READ


def verdicts(seeds: Path, work: Path, count: int) -> dict[int, str]:
    """{index: verdict} of `count` damaged files made from the files of the folder `seeds`.

    work : a folder for the file at hand. A process that dies while it reads is a fault of the reader's; one that dies
    while the runtime has the file, one of the runtime's.
    """
    found: dict[int, str] = {}
    while len(found) < count:
        first = len(found)
        command = [sys.executable, "-m", f"{__package__}.worker", str(seeds), str(work), str(first), str(count)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            reading: int | None = None
            for line in process.stdout:
                index, verdict = json.loads(line)
                reading = index if verdict == READ else None
                if verdict != READ:
                    found[index] = verdict
        if len(found) < count:
            died = f"ends the process with status {process.returncode}"
            found[len(found)] = NOT_RUN if reading == len(found) else died
    return found
