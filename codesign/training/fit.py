"""Training a classifier, its answers and its accuracy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from threadpoolctl import threadpool_limits
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR

import qat

OnStep = Callable[[int, int], None]
"""Called with (steps done, steps in all)."""
Augment = Callable[[Tensor, torch.Generator], Tensor]
"""Makes of a batch of inputs another one of the same shape."""
SHORTEST = 20  # steps, of a schedule, so that it has two to rise in: shorter training ends before it


def fit(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    inputs: Tensor,
    labels: Tensor,
    *,
    batch: int,
    epochs: int,
    seed: int,
    augment: Augment | None = None,
    distillation: qat.Distillation | None = None,
    on_step: OnStep | None = None,
) -> None:
    """Train with cross-entropy; the learning rate rises for a tenth of the steps and falls to zero along a cosine.

    inputs : (n, …) as the model takes them; labels : int64 (n,). Every epoch goes through them in another order, in
    whole batches only, but for the one batch of fewer inputs than that. Leaves the model in eval mode.
    distillation : mixes a teacher's answers into the loss
    """
    batches = Batches(inputs, labels, batch, torch.Generator().manual_seed(seed), augment)
    steps = epochs * len(batches)
    rates = [group["lr"] for group in optimizer.param_groups]
    planned = max(steps, SHORTEST)
    qat.train(
        model,
        batches,
        epochs=epochs,
        optimizer=lambda parameters: optimizer,
        scheduler=lambda chosen: OneCycleLR(chosen, rates, total_steps=planned, pct_start=0.1),
        distillation=distillation,
        on_step=None if on_step is None else lambda done, loss: on_step(done, steps),
    )
    model.eval()


@dataclass(frozen=True, eq=False)
class Batches:
    """The whole batches of an epoch, as (inputs, labels), in another order in every iteration."""

    inputs: Tensor
    labels: Tensor
    batch: int
    generator: torch.Generator
    augment: Augment | None = None

    def __len__(self) -> int:
        return max(len(self.labels) // self.batch, 1)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.randperm(len(self.labels), generator=self.generator)
        for chosen in order.split(self.batch)[: len(self)]:
            x = self.inputs[chosen]
            yield x if self.augment is None else self.augment(x, self.generator), self.labels[chosen]


def answers(model: nn.Module, inputs: Tensor, batch: int = 512) -> Tensor:
    """The class that `model` gives each input, int64 (n,), in eval mode, so many at a time."""
    mode = model.training
    model.eval()
    with torch.no_grad():
        given = [model(x).argmax(1) for x in inputs.split(batch)]
    model.train(mode)
    return torch.cat(given)


def accuracy(model: nn.Module, inputs: Tensor, labels: Tensor, batch: int = 512) -> float:
    """The share of inputs that `model` gets right, 0 to 1, in eval mode, so many at a time."""
    return int((answers(model, inputs, batch) == labels).sum()) / len(labels)


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread of torch and of BLAS: sums are then the same on any number of cores.

    Small networks are too small for more: a second thread of NumPy's BLAS would mostly wait for the next product.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(threads)
