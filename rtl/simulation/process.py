"""Commands in a process group of their own, so that an interrupt ends make and all compilers, or the simulator."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any


def run_group(
    command: Sequence[str],
    folder: Path,
    output: IO[Any] | None = None,
    environment: Mapping[str, str] | None = None,
    while_running: Callable[[], None] | None = None,
) -> int:
    """The exit status of a command run in `folder`; an exception on the way, Ctrl-C too, kills the whole group.

    output : of both streams
    while_running : called about ten times a second while the command runs, and once after it
    """
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        process_group=0,
    )  # fmt: skip
    try:
        if while_running is None:
            return process.wait()
        while True:
            try:
                return process.wait(timeout=0.1)
            except subprocess.TimeoutExpired:
                continue
            finally:
                while_running()
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
