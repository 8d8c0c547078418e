"""Several processes: what all of them must agree on, reduced in the order of their ranks.

Where torch.distributed is initialized, with torchrun for instance, `prepare`, `calibrate`, `fit_accumulator`,
`record_ranges`, `search_bits` and forward passes in ``train()`` exchange what they saw. So all processes must make
these calls equally often, as the gradients of DistributedDataParallel demand anyway. Everything is gathered and then
reduced by each process in the same order, so equal bits come out everywhere.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from .integers.planes import channel_moments


def processes() -> int:
    """How many take part; 1 without torch.distributed."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def gathered(x: Tensor) -> Tensor:
    """The tensors `x` of all processes, of one shape and type, by rank: (processes, …), on the device of `x`."""
    if processes() == 1:
        return x.detach().unsqueeze(0)
    device = torch.device("cuda", torch.cuda.current_device()) if dist.get_backend() == "nccl" else torch.device("cpu")
    sent = x.detach().to(device).contiguous()
    parts = [torch.empty_like(sent) for _ in range(processes())]
    dist.all_gather(parts, sent)
    return torch.stack(parts).to(x.device)


@dataclass(frozen=True, eq=False)
class Moments:
    """Count, mean and unbiased variance (0 of less than two values) per channel: float64 (channels,)."""

    count: int
    mean: Tensor
    variance: Tensor


def moments(y: Tensor) -> Moments:
    """Of the values (batch, channels, …) of this process, which may have none."""
    count = y.numel() // y.shape[1]
    if count > 1:
        return Moments(count, *channel_moments(y.detach()))
    mean = y.detach().double().transpose(0, 1).flatten(1).sum(1)
    return Moments(count, mean, torch.zeros_like(mean))


def combined(own: Moments) -> Moments:
    """Of all processes, from each one's own.

    The update is that of Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample
    Variances" (1979).
    """
    if processes() == 1:
        return own
    squares = own.variance * max(own.count - 1, 0)
    parts = gathered(torch.stack([torch.full_like(own.mean, own.count), own.mean, squares]))
    counts, means, deviations = parts.unbind(1)
    count = int(counts[:, 0].sum())
    mean = (counts * means).sum(0) / max(count, 1)
    squares = (deviations + counts * (means - mean).square()).sum(0)
    return Moments(count, mean, squares / max(count - 1, 1))


def data_parallel(model: nn.Module) -> nn.Module:
    """`model` itself, or where there are several processes one whose gradients are the means over them.

    Buffers are not broadcast: what moves in training is synchronized where it moves.
    """
    if processes() == 1:
        return model
    with warnings.catch_warnings():
        # Newer names of the option still broadcast the buffers once.
        warnings.filterwarnings("ignore", "`broadcast_buffers`", FutureWarning)
        return DistributedDataParallel(model, broadcast_buffers=False)
