"""`qat.train` says what is wrong before an epoch is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import qat

BATCH = (torch.zeros(4, 2), torch.tensor([0, 1, 2, 0]))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"batches": []}, ValueError, "batches must hold at least one batch, not none in epoch 1"),
        ({"batches": iter([BATCH]), "epochs": 2}, TypeError, "each epoch can iterate over them, not list_iterator"),
        ({"model": 5}, TypeError, r"model must be a torch\.nn\.Module, not int"),
        ({"distillation": nn.Linear(2, 3)}, TypeError, "distillation must be a Distillation or None, not Linear"),
        ({"loss": lambda y, _: 1.0}, TypeError, "loss must give a scalar tensor, not float"),
        ({"loss": lambda y, _: y}, TypeError, r"loss must give a scalar tensor, not \(4, 3\)"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        qat.train(**{"model": nn.Linear(2, 3), "batches": [BATCH], **arguments})


@pytest.mark.parametrize(("place", "error"), [("none/run.pt", FileNotFoundError), ("", IsADirectoryError)])
def test_a_checkpoint_without_a_place_costs_no_step(place: str, error: type[OSError], tmp_path: Path) -> None:
    steps: list[int] = []
    with pytest.raises(error) as raised:
        qat.train(nn.Linear(2, 3), [BATCH], checkpoint=tmp_path / place, on_step=lambda step, _: steps.append(step))
    assert not steps and raised.value.filename == str(tmp_path / place)


def test_one_pass_over_an_iterator() -> None:
    losses: list[float] = []

    def loss(y: Tensor, target: Tensor) -> Tensor:
        return nn.functional.cross_entropy(y, target)

    qat.train(nn.Linear(2, 3), iter([BATCH] * 3), loss=loss, on_step=lambda _, value: losses.append(value))
    assert len(losses) == 3
