"""The distillation loss against its formula in Python floats, its gradient, and the mixing with the labels' loss."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import qat

STUDENT = [[0.5, -1.25, 2.0], [3.0, 0.0, -0.75]]
TEACHER = [[1.5, 0.25, -1.0], [2.5, 2.5, 0.0]]


def softmax(logits: list[float], temperature: float) -> list[float]:
    powers = [math.exp(x / temperature) for x in logits]
    return [power / sum(powers) for power in powers]


@pytest.mark.parametrize("temperature", [1.0, 4.0, 20])
def test_the_formula(temperature: float) -> None:
    pairs = [
        (softmax(teacher, temperature), softmax(student, temperature))
        for teacher, student in zip(TEACHER, STUDENT, strict=True)
    ]
    divergence = sum(t * math.log(t / s) for teacher, student in pairs for t, s in zip(teacher, student, strict=True))
    student = torch.tensor(STUDENT, dtype=torch.float64, requires_grad=True)
    teacher = torch.tensor(TEACHER, dtype=torch.float64, requires_grad=True)
    loss = qat.distillation_loss(student, teacher, temperature)
    assert loss.item() == pytest.approx(temperature**2 * divergence / 2, rel=1e-12)
    loss.backward()
    # Hinton et al., equation 2: the gradient of a logit is T · (student's probability − teacher's).
    expected = [[temperature * (s - t) / 2 for t, s in zip(*pair, strict=True)] for pair in pairs]
    torch.testing.assert_close(student.grad, torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=0)
    assert teacher.grad is None


def test_positions_are_examples() -> None:
    student, teacher = torch.tensor(STUDENT).double(), torch.tensor(TEACHER).double()
    expected = qat.distillation_loss(student, teacher)
    assert torch.allclose(qat.distillation_loss(student.T[None], teacher.T[None]), expected, rtol=1e-6)


def test_mixing_and_the_teachers_modes() -> None:
    torch.manual_seed(0)
    teacher = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Dropout(0.5)).train()
    teacher[1].eval()
    before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    x, student, loss = torch.randn(5, 4), torch.randn(5, 3, requires_grad=True), torch.tensor(0.75)
    mixed = qat.Distillation(teacher=teacher, temperature=2.0, weight=0.25)((x,), student, loss)
    assert [module.training for module in teacher] == [True, False, True]
    assert all(torch.equal(tensor, before[name]) for name, tensor in teacher.state_dict().items())
    soft = qat.distillation_loss(student, teacher.eval()(x), 2.0)
    assert mixed.item() == pytest.approx(0.75 * 0.75 + 0.25 * soft.item(), rel=1e-6)
    mixed.backward()
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_bad_arguments() -> None:
    x = torch.zeros(2, 3)
    with pytest.raises(ValueError, match=r"of one shape, not \(2, 3\) and \(2, 4\)"):
        qat.distillation_loss(x, torch.zeros(2, 4))
    for temperature in (0, -1.0, math.inf, math.nan, True, "4"):
        with pytest.raises(ValueError, match="temperature must be a positive number, not"):
            qat.distillation_loss(x, x, temperature)  # type: ignore[arg-type]
    for weight in (-0.1, 1.5, math.nan, False):
        with pytest.raises(ValueError, match="weight must be a number from 0 to 1, not"):
            qat.Distillation(teacher=nn.Linear(1, 1), weight=weight)
    with pytest.raises(TypeError, match=r"teacher must be a torch\.nn\.Module, not str"):
        qat.Distillation(teacher="large")  # type: ignore[arg-type]
