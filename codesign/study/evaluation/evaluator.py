"""`StudyEvaluator`: which tasks find out what a point is worth, and what their outcomes make of it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from ...energy import load_energy_table
from ...synthesis.area_model import Measured, load_model, measured_on_these_sources
from ..definition.origins import ChangedError, factory_source
from ..definition.study import Network, Point, Study
from ..engine.evaluator import Details
from ..engine.store import Store
from ..engine.task import Outcome, Task
from ..value import Value
from .measured import Constants, layer_energies, measures, notes
from .predictions import known_syntheses, shipped_model
from .several import run_roles, whole_run
from .sources import sources
from .tasks import (
    ACCURACY,
    ASIC,
    CLOCK,
    FLOAT,
    HARDWARE,
    RTL,
    RUN,
    SYNTHESIS,
    TEST,
    TRAIN,
    accuracy_task,
    digest,
    float_task,
    hardware_task,
    rtl_task,
    run_task,
    synthesis_tasks,
    train_task,
)

MODEL = "model.onnx"
Done = Mapping[str, Outcome]


@dataclass(frozen=True)
class StudyEvaluator:
    """The engine's `Evaluator` of a study. The role of a task is its kind, or one of `run_roles`.

    syntheses : that the model of area is fitted on beside those that ship
    """

    study: Study
    syntheses: tuple[Measured, ...] = ()

    def informed(self, store: Store) -> StudyEvaluator:
        """The same with the syntheses that the store has for its model of area."""
        return replace(self, syntheses=known_syntheses(self.study, store))

    def tasks(self, point: Point, done: Done) -> Mapping[str, Task]:
        """{role: task} of all that can start when the outcomes in `done` are there."""
        if any(outcome.failure is not None for outcome in done.values()):
            return {}
        found = self._ready(point, done)
        if self.study.confirm == "all":
            found |= self._synthesis(point, done)
        elif not measured_on_these_sources():
            found[RTL] = rtl_task()
        return {role: task for role, task in found.items() if role not in done}

    def _ready(self, point: Point, done: Done) -> dict[str, Task]:
        study = self.study
        if study.network.kind != "factory":
            found = {role: self._run(network, point) for role, network in run_roles(study).items()}
            if study.data is not None:
                model = _content(study.folder / study.network.name, study.network.digest)
                own = {"file": digest(model)}
                found[ACCURACY] = accuracy_task(study, point.config.arithmetic, model, "validation", own)
            return found
        if study.training is not None and FLOAT not in done:
            return {FLOAT: float_task(study)}
        if TRAIN not in done:
            return {TRAIN: train_task(study, point, done[FLOAT].files if FLOAT in done else {})}
        trained = done[TRAIN]
        own = {"structure": trained.values["structure"]}
        return {RUN: run_task(own, point.config, study.latency, {"model": trained.files[MODEL]})}

    def _run(self, network: Network, point: Point) -> Task:
        """Run a network that is there before any task."""
        if network.kind == "builtin":
            return run_task({"builtin": network.name}, point.config, self.study.latency)
        model = _content(self.study.folder / network.name, network.digest)
        return run_task({"file": digest(model)}, point.config, self.study.latency, {"model": model})

    def confirmation(self, point: Point, done: Done) -> Mapping[str, Task]:
        """The same of the work that only the points of the front get: test data, synthesis."""
        if any(outcome.failure is not None for outcome in done.values()):
            return {}
        found = self._synthesis(point, done) if self.study.confirm == "front" else {}
        if TRAIN in done and self.study.data is not None:
            made_by = train_task(self.study, point, {}).arguments
            model = done[TRAIN].files[MODEL]
            found[TEST] = accuracy_task(self.study, point.config.arithmetic, model, "test", made_by)
        return {role: task for role, task in found.items() if role not in done}

    def _synthesis(self, point: Point, done: Done) -> dict[str, Task]:
        if HARDWARE not in done:
            return {HARDWARE: hardware_task(point.config)}
        return synthesis_tasks(self.study, point.config, done[HARDWARE].values["key"], self._library)

    def values(self, point: Point, done: Done) -> Mapping[str, Value]:
        """{measure: value}, of the measures that `done` tells."""
        return measures(self.study, point, done, self._constants)

    def details(self, point: Point, done: Done) -> Details:
        """Layers, timeline, test accuracy and model of a point."""
        good = {role: outcome for role, outcome in done.items() if outcome.failure is None}
        layers: tuple[dict[str, Any], ...] = ()
        timeline: tuple[tuple[str, str, int, int], ...] = ()
        if run := whole_run(self.study, good):
            spent = layer_energies(point, run, self._constants.energies)
            bits = good[TRAIN].values["layer_bits"] if TRAIN in good else {}
            layers = tuple(
                {**row, "energy": spent[row["name"]], **bits_of(row["nodes"], bits)} for row in run["layers"]
            )
            timeline = tuple((unit, layer, start, end) for unit, layer, start, end in run["timeline"])
        return Details(
            layers=layers,
            timeline=timeline,
            test_accuracy=good[TEST].values["accuracy"] if TEST in good else None,
            files={MODEL: good[TRAIN].files[MODEL]} if TRAIN in good else {},
            notes=notes(point, good, self._constants.areas),
        )

    @cached_property
    def _constants(self) -> Constants:
        """Read once: what a study is worth must not change while it runs."""
        model = load_model(self.syntheses) if self.syntheses else shipped_model()
        return Constants(model, load_energy_table(self.study.energy_table))

    @cached_property
    def _library(self) -> bytes | None:
        return None if self.study.liberty is None else self.study.liberty.read_bytes()

    def sources(self, kind: str) -> str:
        """Digest of the code that does tasks of this kind."""
        return sources(kind)

    def files(self) -> Mapping[str, Path]:
        """The data's file, and the modules of factories that are in the study's folder: a package as a whole."""
        found = {}
        for part in (self.study.data, self.study.network):
            if part is not None and part.kind == "factory" and ":" in part.name:
                folder = self.study.folder.resolve()
                source = factory_source(part.name, folder, "the study's").resolve()
                if source.is_relative_to(folder):
                    top = source.relative_to(folder).parts[0]
                    found[top] = folder / top
            elif part is not None and part.kind == "file" and part is self.study.data:
                found[part.name] = self.study.folder / part.name
        return found

    def at(self, folder: Path) -> StudyEvaluator:
        """The same with its files in another folder."""
        return replace(self, study=replace(self.study, folder=folder))

    def prepare(self) -> None:
        """Load the machine's compiled loop, or compile it where nobody has yet."""
        from ...execution.execution import compile_machine

        compile_machine()

    def execute(self, task: Task) -> Outcome:
        """Do a task. What would go wrong again is the outcome's failure; anything else is raised."""
        started = _processor_seconds()
        try:
            outcome = _execute(task, self.study.folder)
        except (ValueError, TypeError) as error:
            outcome = Outcome({}, failure=" ".join(str(error).split()))
        return Outcome(outcome.values, outcome.files, outcome.failure, _processor_seconds() - started)


def _processor_seconds() -> float:
    """Of this process and of the tools that it has run."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def _execute(task: Task, folder: Path) -> Outcome:
    """Do a task, with what it needs and no more imported: a worker that only runs programs has no torch."""
    if task.kind == RUN:
        from .run import run

        return run(task)
    if task.kind in (ACCURACY, TEST):
        from .accuracy import accuracy

        return accuracy(task, folder)
    if task.kind in (RTL, HARDWARE, SYNTHESIS, CLOCK, ASIC):
        from . import synthesis

        return {
            RTL: synthesis.rtl,
            HARDWARE: synthesis.hardware,
            SYNTHESIS: synthesis.synthesis,
            CLOCK: synthesis.clock,
            ASIC: synthesis.asic,
        }[task.kind](task)
    from .train import float_network, train

    return {FLOAT: float_network, TRAIN: train}[task.kind](task, folder)


def bits_of(nodes: Sequence[str], bits: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    """The "weight_bits" and "activation_bits" of what runs as one layer: of its weights, and of the codes it stores.

    nodes : in order; bits : of `qat.layer_bits`
    """
    return {name: width for node in nodes for name, width in bits.get(node, {}).items()}


@lru_cache(8)
def _content(path: Path, known: str) -> bytes:
    """A network's file, read once for all points; it must be the one that the study has seen."""
    content = path.read_bytes()
    if digest(content) != known:
        raise ChangedError(f"[network] file {path} has changed since the study was read; run it again")
    return content
