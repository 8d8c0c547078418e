"""`Task` and `Outcome`: a piece of work that a worker does anywhere, and what it sends back; `Executor`: who can."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


def canonical(value: Any) -> str:
    """The one JSON text of plain tables, lists, text, numbers, booleans and None; ``ValueError`` for NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


@dataclass(frozen=True, eq=False)
class Task:
    """One piece of work, done by a process that has nothing but this object.

    kind : one of `evaluation.tasks.KINDS`
    arguments : plain JSON: what the outcome depends on, and nothing else; with the kind and the digest of the sources
        that compute it, it is the task's key
    files : name → bytes that the work needs and that follow from the arguments (a model that another task has made)
    """

    kind: str
    arguments: Mapping[str, Any]
    files: Mapping[str, bytes] = field(default_factory=dict)

    def key(self, sources: str) -> str:
        """SHA-256 in hexadecimal of kind, arguments and `sources`, the digest of the code that computes the outcome."""
        return hashlib.sha256(canonical([self.kind, dict(self.arguments), sources]).encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a task gives.

    values : plain JSON; empty where it failed
    files : name → bytes, as a trained model's ONNX file
    failure : one sentence, or None; a failed outcome is kept as others are: the same work would fail again
    seconds : processor time that it took
    """

    values: Mapping[str, Any]
    files: Mapping[str, bytes] = field(default_factory=dict)
    failure: str | None = None
    seconds: float = 0.0


class Executor(Protocol):
    """Who can do tasks, in the processes to which it is sent. It is picklable."""

    def prepare(self) -> None:
        """What a process does once, before its first task: load compiled code, or make it where nobody has yet."""
        ...

    def execute(self, task: Task) -> Outcome:
        """Do a task, in whatever process. What goes wrong with the work is the outcome's failure, not an exception."""
        ...
