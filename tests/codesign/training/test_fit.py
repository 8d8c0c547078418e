"""The training that the digits and the local data sets share."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from codesign.training.fit import accuracy, fit


def problem(count: int) -> tuple[Tensor, Tensor]:
    """Points of a plane, and on which side of a line they lie."""
    inputs = torch.randn(count, 2, generator=torch.Generator().manual_seed(1))
    return inputs, (inputs.sum(1) > 0).long()


def trained(epochs: int, count: int = 100, **options: object) -> tuple[nn.Module, list[tuple[int, int]]]:
    torch.manual_seed(1)
    model, steps = nn.Linear(2, 2), []
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    inputs, labels = problem(count)
    fit(
        model, optimizer, inputs, labels, batch=16, epochs=epochs, seed=2,
        on_step=lambda done, of: steps.append((done, of)), **options,
    )  # fmt: skip
    return model, steps


def test_it_learns_and_counts_its_steps() -> None:
    model, steps = trained(10)
    assert steps == [(done, 60) for done in range(1, 61)]  # six whole batches of 16 an epoch
    assert accuracy(model, *problem(100)) > 0.95 and not model.training
    same, _ = trained(10)
    assert torch.equal(model.get_parameter("weight"), same.get_parameter("weight"))


@pytest.mark.parametrize(("epochs", "count", "steps"), [(1, 5, 1), (1, 160, 10), (2, 80, 10), (3, 16, 3), (1, 320, 20)])
def test_training_of_any_length(epochs: int, count: int, steps: int) -> None:
    assert trained(epochs, count)[1][-1] == (steps, steps)


def test_augmented_inputs_are_what_is_learned() -> None:
    def mirrored(x: Tensor, generator: torch.Generator) -> Tensor:
        assert x.shape == (16, 2)
        return -x

    model, _ = trained(10, augment=mirrored)
    assert accuracy(model, *problem(100)) < 0.05


def test_accuracy_is_counted_over_all_batches_in_eval_mode() -> None:
    class Mode(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            assert not self.training
            return x

    model, labels = Mode().train(), torch.tensor([0, 1, 1, 0, 1])
    logits = torch.eye(2)[torch.tensor([0, 1, 0, 0, 0])]
    assert accuracy(model, logits, labels, batch=2) == 3 / 5 and model.training
