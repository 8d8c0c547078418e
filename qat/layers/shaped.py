"""Functions with which `Computed` brings tensors into the shapes of weights; each has a gradient."""

from __future__ import annotations

import torch
from torch import Tensor


def per_channel(x: Tensor, axes: int) -> Tensor:
    """The elements of `x` as the weight of a depthwise convolution whose kernel is 1 along all its `axes`."""
    return x.reshape(-1, 1, *[1] * axes)


def flat(x: Tensor) -> Tensor:
    """The elements of `x` as a bias."""
    return x.reshape(-1)


def transposed_groups(weight: Tensor, groups: int) -> Tensor:
    """The weight of a transposed convolution (inputs, outputs/groups, …) as that of a convolution, outputs first."""
    inputs, outputs, *kernel = weight.shape
    split = weight.reshape(groups, inputs // groups, outputs, *kernel)
    return split.transpose(1, 2).reshape(groups * outputs, inputs // groups, *kernel)


def beside_one(slope: Tensor) -> Tensor:
    """For each slope the weights (1, slope), a kernel of two rows: (slopes, 1, 2, 1)."""
    return torch.stack([torch.ones_like(slope), slope], 1).reshape(len(slope), 1, 2, 1)
