"""The two ways in which a simulation goes wrong: a tool is missing, or a build or run fails."""

from __future__ import annotations

from pathlib import Path


class ToolError(RuntimeError):
    """A simulator or compiler that is needed is absent or too old; the message says which, and what supplies it."""


class SimulationError(RuntimeError):
    """A simulator could not be built, or a simulation did not end as it must; one sentence, then the log's tail."""


def log_tail(log: Path, lines: int = 30) -> str:
    """The last `lines` lines of a log file, or a remark that there is none."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "(no log was written)"
    return "\n".join(text.splitlines()[-lines:]) or "(the log is empty)"
