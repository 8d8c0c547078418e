"""The kinds of work of a study, and the tasks of each: what its outcome depends on, and nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from emulator.arithmetic import Arithmetic
from emulator.config import AcceleratorConfig

from ..definition.fields import BUDGETS
from ..definition.study import Data, Point, Study, Training
from ..engine.task import Task, canonical

FLOAT, TRAIN, RUN, ACCURACY, TEST = "float", "train", "run", "accuracy", "test"
RTL, HARDWARE, SYNTHESIS, CLOCK, ASIC = "rtl", "hardware", "synthesis", "clock", "asic"
KINDS = (FLOAT, TRAIN, RUN, ACCURACY, TEST, RTL, HARDWARE, SYNTHESIS, CLOCK, ASIC)
CONFIG, LIBRARY = "config.json", "cells.lib"
"""Files of the tasks of synthesis."""
FLOAT_OPTIONS = ("float_epochs", "float_learning_rate", "batch")
PREPARE_OPTIONS = (*FLOAT_OPTIONS, "calibration")
QAT_OPTIONS = ("epochs", "learning_rate", "distillation")


def float_task(study: Study) -> Task:
    """Train the float network: the same for all points."""
    recipe = {name: _training(study).options[name] for name in FLOAT_OPTIONS} | {"seed": study.seed}
    return Task(FLOAT, {"network": asdict(study.network), "data": asdict(_data(study)), "recipe": recipe})


def train_task(study: Study, point: Point, files: Mapping[str, bytes]) -> Task:
    """Make the network ready for the point's arithmetic; nothing else of the accelerator matters."""
    arguments: dict[str, Any] = {
        "network": asdict(study.network),
        "arithmetic": point.config.arithmetic.as_dict(),
    }
    if study.training is None:
        return Task(TRAIN, arguments | {"seed": study.seed})
    names = PREPARE_OPTIONS + (QAT_OPTIONS if point.recipe == "qat" else ())
    recipe = {name: study.training.options[name] for name in names}
    budgets = {name: getattr(point, name) for name in BUDGETS if getattr(point, name) is not None}
    arguments |= {
        "data": asdict(_data(study)),
        "recipe": {**recipe, "kind": point.recipe, "seed": study.seed},
        "budgets": budgets,
    }
    return Task(TRAIN, arguments, files)


def accuracy_task(study: Study, arithmetic: Arithmetic, model: bytes, split: str, made_by: Mapping[str, Any]) -> Task:
    """Judge a model on a split of the data; `made_by` is what its codes depend on."""
    kind = TEST if split == "test" else ACCURACY
    arguments = {
        "data": asdict(_data(study)), "arithmetic": arithmetic.as_dict(), "split": split, "model": dict(made_by),
    }  # fmt: skip
    return Task(kind, arguments, {"model": model})


def run_task(
    network: Mapping[str, str], config: AcceleratorConfig, latency: int, files: Mapping[str, bytes] | None = None
) -> Task:
    """Compile and run on the machine.

    network : {"builtin": name}, or a digest of the "model" in `files`: {"file": that of its bytes} or
        {"structure": that of all its cycles depend on}
    """
    return Task(RUN, {"network": dict(network), "config": config.as_dict(), "latency": latency}, files or {})


def rtl_task() -> Task:
    """Find out which RTL is installed, once for the whole study: its Verilog takes seconds to write."""
    return Task(RTL, {})


def hardware_task(config: AcceleratorConfig) -> Task:
    """Find out by which digest a config's hardware is known."""
    return Task(HARDWARE, {"config": config.as_dict()})


def synthesis_tasks(study: Study, config: AcceleratorConfig, key: str, library: bytes | None) -> dict[str, Task]:
    """{role: task} of what a study asks for of the hardware that is known by `key`; library : the Liberty file."""
    files = {CONFIG: canonical(config.as_dict()).encode()}
    found = {SYNTHESIS: Task(SYNTHESIS, {"hardware": key}, files)}
    if study.place:
        found[CLOCK] = Task(CLOCK, {"hardware": key}, files)
    if library is not None:
        found[ASIC] = Task(ASIC, {"hardware": key, "library": digest(library)}, {**files, LIBRARY: library})
    return found


def digest(content: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _training(study: Study) -> Training:
    assert study.training is not None
    return study.training


def _data(study: Study) -> Data:
    assert study.data is not None
    return study.data
