"""An evaluation whose numbers are made up: functions of the config, in plain integers; and studies of it.

What a task is to do beside that (sleep, fail, end its process) is a table of the evaluator, and each execution leaves a
line in a file, so that a test can count them.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from codesign.study.definition.study import Constraint, Dimension, Network, Objective, Point, Search, Study
from codesign.study.engine.evaluator import Details
from codesign.study.engine.processes.worker import execute
from codesign.study.engine.processes.workers import Done
from codesign.study.engine.store import Store
from codesign.study.engine.task import Outcome, Task
from codesign.study.value import Value

ROWS, COLUMNS, BITS = (4, 8, 16, 32), (4, 8, 16), (12, 16, 20)


def study(
    search: Search | None = None, *, bits: tuple[int, ...] = BITS, constraints: tuple[Constraint, ...] = ()
) -> Study:
    """Rows × columns × accumulator bits: cycles, LUTs and accuracy, which contradict each other."""
    dimensions = {"rows": ROWS, "columns": COLUMNS, "arithmetic.accumulator_bits": bits}
    return Study(
        "made up",
        Network("builtin", "ResNet-8"),
        tuple(Dimension(name, labels, tuple({name: label} for label in labels)) for name, labels in dimensions.items()),
        (Objective("cycles", "minimize"), Objective("luts", "minimize"), Objective("accuracy", "maximize")),
        constraints=constraints,
        search=search or Search(),
    )


def cycles(rows: int, columns: int) -> int:
    return 1_000_000 // (rows * columns) + 10 * rows


def luts(rows: int, columns: int, bits: int) -> int:
    """As it is synthesized."""
    return rows * columns * bits + (977 if rows == columns else 0)


def accuracy(bits: int) -> float:
    return bits / 32


@dataclass(frozen=True)
class MadeUp:
    """An `Evaluator`: train by bits, then run by rows and columns; the area is estimated, and confirmed for the front.

    behaviour : task's name ("train-12", "run-4-8-12", "area-…") → "fail", "raise", "die", "die once", "print", "nan"
        (in its outcome), "odd" (a number that is none, made of it), or seconds
    log : file that gets a line "name pid" for each execution; None: none
    version : of the "sources" of each kind
    """

    behaviour: Mapping[str, str | float] = field(default_factory=dict)
    log: Path | None = None
    version: Mapping[str, str] = field(default_factory=dict)

    def informed(self, store: Store) -> MadeUp:
        return self

    def tasks(self, point: Point, done: Mapping[str, Outcome]) -> Mapping[str, Task]:
        bits = point.config.arithmetic.accumulator_bits
        if "train" not in done:
            return {"train": Task("train", {"bits": bits})}
        if "run" not in done:
            arguments = {"rows": point.config.rows, "columns": point.config.columns, "bits": bits}
            return {"run": Task("run", arguments, done["train"].files)}
        return {}

    def confirmation(self, point: Point, done: Mapping[str, Outcome]) -> Mapping[str, Task]:
        config, bits = point.config, point.config.arithmetic.accumulator_bits
        area = Task("area", {"rows": config.rows, "columns": config.columns, "bits": bits})
        both = {"area": area, "test": Task("test", {"bits": bits})}
        return {role: task for role, task in both.items() if role not in done}

    def values(self, point: Point, done: Mapping[str, Outcome]) -> Mapping[str, Value]:
        config, bits = point.config, point.config.arithmetic.accumulator_bits
        if "area" in done:
            area = Value(float(done["area"].values["luts"]))
        else:
            area = Value(float(config.rows * config.columns * bits), "estimate", 0.2, "made up")
        return {
            "cycles": Value(float(done["run"].values["cycles"])),
            "accuracy": Value(done["train"].values["accuracy"]),
            "luts": area,
        }

    def details(self, point: Point, done: Mapping[str, Outcome]) -> Details:
        tested = done["test"].values["accuracy"] if "test" in done else None
        return Details(test_accuracy=tested, files=done["train"].files if "train" in done else {})

    def sources(self, kind: str) -> str:
        return self.version.get(kind, "1")

    def files(self) -> Mapping[str, Path]:
        return {}

    def at(self, folder: Path) -> MadeUp:
        return self

    def prepare(self) -> None:
        pass

    def execute(self, task: Task) -> Outcome:
        name = "-".join([task.kind, *(str(value) for value in task.arguments.values())])
        if self.log is not None:
            with self.log.open("a") as file:
                file.write(f"{name} {os.getpid()}\n")
        do = self.behaviour.get(name, self.behaviour.get(task.kind, 0))
        if do == "fail":
            return Outcome({}, failure=f"{name} must not be, but is")
        if do == "raise":
            raise KeyError(name)
        if do == "die":
            Path(tempfile.mkdtemp(), "rest").write_text("of a tool")
        if do == "die" or (do == "die once" and self.executions().count(name) == 1):
            os.kill(os.getpid(), signal.SIGKILL)
        if do == "print":
            print("noise", flush=True)
            os.write(1, b"noise")
        if do == "nan":
            return Outcome({"cycles": float("nan")})
        if isinstance(do, int | float):
            time.sleep(do)
        rows, columns, bits = (task.arguments.get(of, 0) for of in ("rows", "columns", "bits"))
        if task.kind == "train":
            return Outcome({"accuracy": accuracy(bits)}, {"model.onnx": b"\x00model" * bits})
        if task.kind == "test":
            return Outcome({"accuracy": accuracy(bits) - 1 / 64})
        if task.kind == "area":
            return Outcome({"luts": luts(rows, columns, bits)})
        assert task.files["model.onnx"] == b"\x00model" * bits
        return Outcome({"cycles": "inf" if do == "odd" else cycles(rows, columns)})

    def executions(self) -> list[str]:
        """Names of the tasks that were begun, in order."""
        assert self.log is not None
        return [line.split()[0] for line in self.log.read_text().splitlines()] if self.log.exists() else []

    def processes(self) -> list[int]:
        """Ids of the processes that began them."""
        assert self.log is not None
        return [int(line.split()[1]) for line in self.log.read_text().splitlines()] if self.log.exists() else []


class Here:
    """Workers that are this process: they start at once. Last in, first out."""

    name = "none"

    def __init__(self, evaluator: MadeUp, count: int) -> None:
        self._evaluator, self._tasks = evaluator, dict[str, Task]()

    def submit(self, ticket: str, task: Task) -> None:
        self._tasks[ticket] = task

    def wait(self) -> list[Done]:
        ticket, task = self._tasks.popitem()
        outcome, kept, _ = execute(self._evaluator, task)
        return [Done(ticket, outcome, kept)]

    def close(self) -> None:
        pass


def best(points: Mapping[tuple[int, int, int], tuple[float, float, float]]) -> set[tuple[int, int, int]]:
    """The front by its definition. points : (rows, columns, bits) → (cycles, LUTs, −accuracy)."""
    return {
        name
        for name, costs in points.items()
        if not any(
            other != costs and all(o <= c for o, c in zip(other, costs, strict=True)) for other in points.values()
        )
    }
