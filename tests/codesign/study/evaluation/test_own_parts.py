"""Networks and data of the user's own in a study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codesign.study.definition import Study, points, study_from_dict
from codesign.study.definition.origins import ChangedError
from codesign.study.engine.processes.worker import execute
from codesign.study.engine.task import Outcome
from codesign.study.evaluation import StudyEvaluator
from compiler import load_onnx
from emulator import run_graph
from tests.codesign.study.evaluation.evaluated import evaluated, first

FACTORIES = """
from dataclasses import replace
import numpy as np
import torch
from torch import nn
from codesign.datasets import Dataset

def net():
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 3))

def with_inputs():
    return net(), torch.rand(4, 1, 3, 4)

def no_net():
    return "net"

def fails():
    raise ZeroDivisionError("by zero")

def mixed():
    made = data()
    return replace(made, validation_inputs=made.validation_inputs.reshape(30, 12))

def empty():
    made = data()
    return replace(made, train_inputs=made.train_inputs * np.float32("nan"))

def data():
    inputs = np.random.default_rng(0).normal(size=(30, 1, 3, 4)).astype(np.float32)
    labels = inputs.sum(axis=(1, 2)).argmax(axis=1) % 3
    return Dataset(*(part for _ in range(3) for part in (inputs, labels.astype(np.int64))), classes=("a", "b", "c"))
"""


def test_networks_and_data_of_the_users_own(tmp_path: Path) -> None:
    (tmp_path / "own_parts.py").write_text(FACTORIES)
    space = {"space": {"rows": [4]}}

    def outcome(**sections: Any) -> tuple[Study, dict[str, Outcome]]:
        study = study_from_dict({"objectives": ["cycles"], **space, **sections}, tmp_path)
        return study, evaluated(study, next(points(study)), {})

    training = {"recipe": "fitted", "float_epochs": 1, "batch": 10}
    factory = {"factory": "own_parts:net"}
    _, done = outcome(network=factory, data={"factory": "own_parts:data"}, training=training)
    assert list(done) == ["float", "train", "run", "test"] and not any(each.failure for each in done.values())
    _, done = outcome(network={"factory": "own_parts:with_inputs"})
    assert list(done) == ["train", "run"] and "accuracy" not in done["train"].values
    (tmp_path / "finished.onnx").write_bytes(done["train"].files["model.onnx"])
    _, done = outcome(network=factory)
    assert done["train"].failure is not None and "must give (module, example inputs)" in done["train"].failure
    _, done = outcome(network={"factory": "own_parts:no_net"})
    assert done["train"].failure is not None and "must give a torch module" in done["train"].failure
    study, done = outcome(network={"factory": "own_parts:nothing"})
    assert (
        done["train"].failure
        == f"factory own_parts:nothing: there is no function nothing in {tmp_path / 'own_parts.py'}"
    )
    _, done = outcome(network=factory, data={"factory": "own_parts:mixed"}, training=training)
    assert done["float"].failure == (
        "[data] factory own_parts:mixed: validation_inputs must have the shape of the others, (1, 3, 4), not (12,)"
    )
    _, done = outcome(network=factory, data={"factory": "own_parts:empty"}, training=training)
    assert done["float"].failure == "[data] factory own_parts:empty: train_inputs must be finite numbers"
    failing = study_from_dict({"objectives": ["cycles"], **space, "network": {"factory": "own_parts:fails"}}, tmp_path)
    (tmp_path / "broken_parts.py").write_text("import no_such_package")
    broken = study_from_dict({"objectives": ["cycles"], **space, "network": {"factory": "broken_parts:f"}}, tmp_path)
    for made, sentence in (
        (failing, "train: factory own_parts:fails raised ZeroDivisionError: by zero"),
        (broken, f"train: {tmp_path}/broken_parts.py cannot be imported: ModuleNotFoundError: No module named 'no_su"),
    ):
        told, kept, _ = execute(StudyEvaluator(made), first(made)["train"])
        assert told.failure is not None and told.failure.startswith(sentence) and not kept
    (tmp_path / "own_parts.py").write_text(FACTORIES + "\n")
    with pytest.raises(ChangedError, match=r"own_parts\.py has changed since the study was read"):
        StudyEvaluator(study).execute(first(study)["train"])

    inputs = np.random.default_rng(1).normal(size=(50, 1, 3, 4)).astype(np.float32)
    labels = np.random.default_rng(2).integers(0, 3, 50)
    np.savez(tmp_path / "judge.npz", inputs=inputs, labels=labels)
    study, done = outcome(network={"file": "finished.onnx"}, data={"file": "judge.npz"}, objectives=["accuracy"])
    assert list(done) == ["run", "accuracy"]
    (output,) = run_graph(load_onnx(tmp_path / "finished.onnx"), {"input": inputs}).values()
    found = StudyEvaluator(study).values(next(points(study)), done)["accuracy"].number
    assert found == np.mean(output.argmax(axis=1) == labels)
    (tmp_path / "broken.onnx").write_bytes(b"\x08\x07broken")
    _, done = outcome(network={"file": "broken.onnx"})
    assert done["run"].failure is not None and "/tmp" not in done["run"].failure
