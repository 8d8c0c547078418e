"""Knowledge distillation: a student learns from a teacher's soft answers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..model import evaluating


def distillation_loss(student: Tensor, teacher: Tensor, temperature: float = 4.0) -> Tensor:
    """T² · KL(softmax(teacher / T) ‖ softmax(student / T)), the mean over the batch: a scalar.

    student, teacher : logits (batch, classes, …); further axes are positions, each an example of its own
    temperature : T > 0

    The gradient goes to the student alone. T² makes its size independent of T (Hinton, Vinyals, Dean, "Distilling the
    Knowledge in a Neural Network", 2015, section 2).

    Raises ``ValueError`` for other shapes or temperatures.
    """
    _check_temperature(temperature)
    for logits in (student, teacher):
        if not isinstance(logits, Tensor):
            raise TypeError(f"student and teacher must be tensors of logits, not {type(logits).__name__}")
    if student.shape != teacher.shape or student.ndim < 2:
        shapes = f"{tuple(student.shape)} and {tuple(teacher.shape)}"
        raise ValueError(f"student and teacher must be logits (batch, classes, …) of one shape, not {shapes}")
    target = F.log_softmax(teacher.detach() / temperature, 1)
    divergence = F.kl_div(F.log_softmax(student / temperature, 1), target, reduction="none", log_target=True).sum(1)
    return divergence.mean() * temperature**2


@dataclass(frozen=True, eq=False, kw_only=True)
class Distillation:
    """A teacher, the temperature at which it is asked, and the weight of its answers in the loss, 0–1.

    Called with the student's arguments, its logits and its loss on the labels, it gives
    ``(1 − weight) · loss + weight · distillation_loss``. The teacher is asked in eval mode and without gradient.
    """

    teacher: nn.Module
    temperature: float = 4.0
    weight: float = 0.5

    def __post_init__(self) -> None:
        if not isinstance(self.teacher, nn.Module):
            raise TypeError(f"teacher must be a torch.nn.Module, not {type(self.teacher).__name__}")
        _check_temperature(self.temperature)
        if isinstance(self.weight, bool) or not isinstance(self.weight, (int, float)) or not 0 <= self.weight <= 1:
            raise ValueError(f"weight must be a number from 0 to 1, not {self.weight!r}")

    def __call__(self, inputs: tuple[Tensor, ...], student: Tensor, loss: Tensor) -> Tensor:
        with torch.no_grad(), evaluating(self.teacher):
            teacher = self.teacher(*inputs)
        return (1 - self.weight) * loss + self.weight * distillation_loss(student, teacher, self.temperature)


def _check_temperature(temperature: float) -> None:
    number = isinstance(temperature, (int, float)) and not isinstance(temperature, bool)
    if not number or not 0 < temperature < math.inf:
        raise ValueError(f"temperature must be a positive number, not {temperature!r}")
