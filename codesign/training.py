"""What the digits and the data sets of local folders share: training a classifier, and its accuracy."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

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
    on_step: OnStep | None = None,
) -> None:
    """Train with cross-entropy; the learning rate rises for a tenth of the steps and falls to zero along a cosine.

    inputs : (n, …) as the model takes them; labels : int64 (n,). Every epoch goes through them in another order, in
    whole batches only, but for the one batch of fewer inputs than that. Leaves the model in eval mode.
    """
    generator = torch.Generator().manual_seed(seed)
    count = len(labels)
    batches = max(count // batch, 1)
    steps = epochs * batches
    rates = [group["lr"] for group in optimizer.param_groups]
    planned = max(steps, SHORTEST)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, total_steps=planned, pct_start=0.1)
    model.train()
    done = 0
    for _ in range(epochs):
        order = torch.randperm(count, generator=generator)
        for chosen in order.split(batch)[:batches]:
            x = inputs[chosen] if augment is None else augment(inputs[chosen], generator)
            optimizer.zero_grad()
            F.cross_entropy(model(x), labels[chosen]).backward()
            optimizer.step()
            schedule.step()
            done += 1
            if on_step is not None:
                on_step(done, steps)
    model.eval()


def accuracy(model: nn.Module, inputs: Tensor, labels: Tensor, batch: int = 512) -> float:
    """The share of inputs that `model` gets right, 0 to 1, in eval mode, so many at a time."""
    training = model.training
    model.eval()
    with torch.no_grad():
        correct = sum(
            int((model(x).argmax(1) == y).sum()) for x, y in zip(inputs.split(batch), labels.split(batch), strict=True)
        )
    model.train(training)
    return correct / len(labels)
