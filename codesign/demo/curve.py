"""The demo's curve: the same network made ready for other arithmetics, by a second process beside the first."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Self

import torch

from emulator import Arithmetic

from ..console import OnStep
from ..datasets import Dataset
from ..datasets.networks import network
from ..study.engine.processes.workers import LocalWorkers
from ..study.engine.task import Outcome, Task
from ..training import TrainingRecipe
from ..training.fit import accuracy, one_thread
from ..training.point import TrainedPoint, train_point
from .result import Curve, CurvePoint

CODES = ((4, 4), (3, 3), (2, 2))
"""Bits of weights and activations, of the points beside the config's own."""
ACCUMULATORS = (-2, 3, 6)
"""Bits of the accumulator more than the config's, of a curve of accumulators."""
FITTING_GAINS = 0.01
"""Share of the validation images from which on it is the accumulator that costs accuracy."""
WAYS = ("adaround",), ("ptq", "fitted", "qat")
"""Kinds of recipe for each point, those together of which each begins with the model of the one before."""

BEGIN, TRAIN = "begin", "train"
"""Kinds of tasks; one without work, which the process is started for, and one that trains."""


def axis(ptq: TrainedPoint, fitted: TrainedPoint) -> Curve:
    """What the curve varies: "accumulator" where fitting the scales to the config's own gains something, else "codes".

    Decided by validation data.
    """
    return "accumulator" if fitted.validation_accuracy - ptq.validation_accuracy >= FITTING_GAINS else "codes"


def others(arithmetic: Arithmetic, by: Curve) -> list[Arithmetic]:
    """The curve's points beside `arithmetic`, which differ from it in what the curve varies, and are legal."""
    if by == "codes":
        fields = [{"weight_bits": weights, "activation_bits": activations} for weights, activations in CODES]
    else:
        fields = [{"accumulator_bits": arithmetic.accumulator_bits + more} for more in ACCUMULATORS]
    found = []
    for changed in fields:
        try:
            other = replace(arithmetic, **changed)
        except ValueError:  # beyond what the accelerator has, or has with these multipliers
            continue
        if other != arithmetic:
            found.append(other)
    return found


def width(arithmetic: Arithmetic) -> tuple[int, int, int]:
    """What the points are sorted by: the bits of a product, of a weight, of the accumulator."""
    weights = arithmetic.weight_bits
    return weights + arithmetic.activation_bits, weights, arithmetic.accumulator_bits


@dataclass(frozen=True, eq=False)
class Trainer:
    """Trains the built-in network `name` for one arithmetic in one way, in whatever process.

    recipe : whose kind and epochs the task's take the place of
    """

    name: str
    data: Dataset
    recipe: TrainingRecipe

    def prepare(self) -> None:
        """Nothing: that this object has arrived has loaded torch."""

    def execute(self, task: Task) -> Outcome:
        """{kind: accuracy on the test images}; the task's file "float" is the float network's state."""
        if task.kind == BEGIN:
            return Outcome({})
        images, labels = torch.from_numpy(self.data.test_inputs), torch.from_numpy(self.data.test_labels)
        model, accuracies = None, dict[str, float]()
        with one_thread():
            for kind in task.arguments["kinds"]:
                model = train_point(
                    lambda: network(self.name),
                    self.data,
                    Arithmetic(**task.arguments["arithmetic"]),
                    replace(self.recipe, kind=kind, epochs=task.arguments["epochs"]),
                    float_state=task.files["float"],
                    before=model,
                ).model
                accuracies[kind] = accuracy(model, images, labels)
        return Outcome(accuracies)


class CurveTraining:
    """The trainings of the curve's other points: a worker process does them, and this one helps in `finish`.

    A context, whose start starts the worker, which loads torch meanwhile, and whose end ends it.
    served : done when the worker has found no more to do
    """

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer
        self._tasks: deque[tuple[str, Task]] = deque()
        self._outcomes: dict[str, Outcome] = {}
        self._begun, self._ended = threading.Event(), threading.Event()
        self._pool = ThreadPoolExecutor(1)
        self._points: dict[Arithmetic, int] = {}

    def __enter__(self) -> Self:
        self.served = self._pool.submit(self._serve)
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._begun.set()
        self._pool.shutdown()

    def begin(self, arithmetics: Sequence[Arithmetic], state: bytes, epochs: int) -> None:
        """Have the float network of `state` made ready for each of `arithmetics`, in each of `WAYS`."""
        self._points = {arithmetic: epochs for arithmetic in arithmetics}
        for index, arithmetic in enumerate(arithmetics):
            for kinds in WAYS:
                arguments = {"arithmetic": asdict(arithmetic), "epochs": epochs, "kinds": kinds}
                self._tasks.append((f"{index} {kinds[-1]}", Task(TRAIN, arguments, {"float": state})))
        self._begun.set()

    def finish(self, on_step: OnStep) -> list[CurvePoint]:
        """The points, when all are done. Raises ``RuntimeError`` where one could not be trained."""
        total = len(self._points) * len(WAYS)
        while self._next(self._trainer.execute):
            on_step(len(self._outcomes), total)
        self.served.result()
        for outcome in self._outcomes.values():
            if outcome.failure is not None:
                raise RuntimeError(outcome.failure)
        return [
            CurvePoint(arithmetic, **self._accuracies(index), qat_epochs=epochs)
            for index, (arithmetic, epochs) in enumerate(self._points.items())
        ]

    def _serve(self) -> None:
        """In a thread, which only waits: give the worker one task after the other."""
        workers = LocalWorkers(self._trainer, 1)

        def by_worker(task: Task) -> Outcome:
            workers.submit("task", task)
            while not self._ended.is_set():
                for done in workers.wait():
                    return done.outcome
            return Outcome({}, failure="the demo was ended")

        try:
            by_worker(Task(BEGIN, {}))  # starts the process
            self._begun.wait()
            while not self._ended.is_set() and self._next(by_worker):
                pass
        finally:
            workers.close()

    def _accuracies(self, index: int) -> dict[str, float]:
        """{kind: accuracy} of the point of this index."""
        return {kind: value for kinds in WAYS for kind, value in self._outcomes[f"{index} {kinds[-1]}"].values.items()}

    def _next(self, execute: Callable[[Task], Outcome]) -> bool:
        """Do the first task that nobody has taken; False where there is none."""
        try:
            ticket, task = self._tasks.popleft()
        except IndexError:
            return False
        self._outcomes[ticket] = execute(task)
        return True
