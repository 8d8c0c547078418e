"""`train`: a plain training loop, for float models and prepared ones, in one process or several."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from types import NoneType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from emulator.arithmetic import check_integer

from .checkpoint import load_checkpoint, save_checkpoint
from .distributed import data_parallel
from .files import check_place
from .model import restoring_modes
from .recipes.distill import Distillation


def adam(parameters: Iterable[nn.Parameter]) -> Optimizer:
    """Adam with a learning rate of 1e-3."""
    return torch.optim.Adam(parameters, lr=1e-3)


def train(
    model: nn.Module,
    batches: Iterable[Sequence[Any]],
    *,
    epochs: int = 1,
    optimizer: Callable[[Iterable[nn.Parameter]], Optimizer] = adam,
    scheduler: Callable[[Optimizer], LRScheduler] | None = None,
    loss: Callable[[Any, Any], Tensor] = F.cross_entropy,
    distillation: Distillation | None = None,
    checkpoint: str | PathLike[str] | None = None,
    generators: Mapping[str, torch.Generator] | None = None,
    on_step: Callable[[int, float], None] | None = None,
) -> None:
    """Train `model` in place.

    batches : iterated once per epoch: the model's arguments and, last, the target of `loss`, as data loaders give them
    optimizer : makes one of the parameters
    scheduler : makes one of the optimizer, with a step behind each of its steps
    loss : (what the model returns, target) to a scalar; distillation : mixes a teacher's answers in
    checkpoint : a file that is written after every epoch, and from which the training goes on, bit for bit, if it is
        there; generators : as for `save_checkpoint`, what the order of `batches` is drawn with
    on_step : called with the number of steps done by this call and the loss behind each of them

    The model is in training mode meanwhile, and in its own modes afterwards. Where there are several processes, each
    with batches and a checkpoint of its own, gradients are the means over them. Raises ``ValueError`` for an epoch
    without batches, ``OSError``, before the first step, where `checkpoint` cannot have its place.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, not {type(model).__name__}")
    check_integer("epochs", epochs, 0, 1 << 30)
    if not isinstance(distillation, (Distillation, NoneType)):
        raise TypeError(f"distillation must be a Distillation or None, not {type(distillation).__name__}")
    if epochs > 1 and isinstance(batches, Iterator):
        raise TypeError(f"batches must be such that each epoch can iterate over them, not {type(batches).__name__}")
    if checkpoint is not None:
        check_place(checkpoint)  # before an epoch is lost
    chosen = optimizer([parameter for parameter in model.parameters() if parameter.requires_grad])
    schedule = None if scheduler is None else scheduler(chosen)
    with restoring_modes(model):
        model.train()
        done = 0
        if checkpoint is not None and Path(checkpoint).exists():
            done = load_checkpoint(checkpoint, model, chosen, schedule, generators=generators)
        forward, steps = data_parallel(model), 0
        for epoch in range(done, epochs):
            before = steps
            for *inputs, target in batches:
                outputs = forward(*inputs)
                value = loss(outputs, target)
                if not isinstance(value, Tensor) or value.numel() != 1:
                    found = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
                    raise TypeError(f"loss must give a scalar tensor, not {found}")
                if distillation is not None:
                    value = distillation(tuple(inputs), outputs, value)
                chosen.zero_grad()
                value.backward()  # type: ignore[no-untyped-call]
                chosen.step()
                if schedule is not None:
                    schedule.step()
                steps += 1
                if on_step is not None:
                    on_step(steps, value.item())
            if steps == before:
                raise ValueError(f"batches must hold at least one batch, not none in epoch {epoch + 1}")
            if checkpoint is not None:
                save_checkpoint(checkpoint, model, chosen, schedule, progress=epoch + 1, generators=generators)
