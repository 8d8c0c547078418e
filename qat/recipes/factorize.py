"""Low-rank factorization: a convolution or linear layer becomes two smaller ones."""

from __future__ import annotations

import copy
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from emulator.arithmetic import check_integer

from ..layers.masks import mask_of
from ..model import PreparedModel
from .prune import KINDS, check_layers


@torch.no_grad()
def factorize(
    model: nn.Module, *, rank: int | None = None, energy: float | None = None, layers: str = "*"
) -> nn.Module:
    """A copy of a float model in which layers are two in a row, wherever those have fewer weights.

    rank : the channels between the two; or energy : 0 < energy ≤ 1, which takes for each layer the smallest rank whose
        singular values have this share of the sum of all squares
    layers : a pattern of names, as in `fnmatch`

    A k×k convolution becomes one of its size with `rank` outputs and a 1×1 convolution, a linear layer two linear
    layers; both get the truncated singular value decomposition of the weight, a matrix (outputs, inputs · k · k), which
    is the best one of that rank in least squares (Eckart and Young, 1936), and each the square roots of the singular
    values. The bias is the second one's. The module of that name is a Sequential of the two afterwards. Grouped
    convolutions and pruned layers stay as they are, and so do classes derived from Conv1d, Conv2d and Linear.
    """
    if isinstance(model, PreparedModel):
        raise ValueError("model must be a float model, not one that is prepared: its layers have fixed shapes")
    if (rank is None) == (energy is None):
        raise ValueError(f"rank or energy must be given, and not both, not rank={rank!r} and energy={energy!r}")
    if rank is not None:
        check_integer("rank", rank, 1, 1 << 30)
    elif isinstance(energy, bool) or not isinstance(energy, (int, float)) or not 0 < energy <= 1:
        raise ValueError(f"energy must be a number above 0, at most 1, not {energy!r}")
    check_layers(layers, (name for name, module in model.named_modules() if isinstance(module, KINDS)))
    if type(model) in KINDS:
        return _factorized(copy.deepcopy(model), rank, energy)
    result = copy.deepcopy(model)
    made: dict[nn.Module, nn.Module] = {}  # a module may have several names
    for name, module in list(result.named_modules(remove_duplicate=False)):
        if type(module) in KINDS and fnmatchcase(name, layers):
            if module not in made:
                made[module] = _factorized(module, rank, energy)
            parent, _, attribute = name.rpartition(".")
            setattr(result.get_submodule(parent), attribute, made[module])
    return result


def _factorized(module: nn.Module, rank: int | None, energy: float | None) -> nn.Module:
    """The two layers, or the module itself where they would not have fewer weights."""
    assert isinstance(module, KINDS)
    if mask_of(module, "weight") is not None or (not isinstance(module, nn.Linear) and module.groups > 1):
        return module
    weight = module.weight.detach()
    u, s, v = torch.linalg.svd(weight.flatten(1).double(), full_matrices=False)
    rank = _rank(s, energy) if rank is None else rank
    if rank * (len(weight) + weight[0].numel()) >= weight.numel():
        return module
    root = s[:rank].sqrt()
    pair = _pair(module, rank).train(module.training).to(weight.dtype).to_empty(device=weight.device)
    tensors = dict(pair.named_parameters())
    tensors["0.weight"].copy_((root[:, None] * v[:rank]).view_as(tensors["0.weight"]))
    tensors["1.weight"].copy_((u[:, :rank] * root).view_as(tensors["1.weight"]))
    if module.bias is not None:
        tensors["1.bias"].copy_(module.bias)
    return pair


def _rank(singular: Tensor, energy: float | None) -> int:
    """The smallest rank with that share of the squares' sum."""
    assert energy is not None
    squares = singular.square().cumsum(0)
    return int((squares < energy * squares[-1]).sum()) + 1


def _pair(module: nn.Conv1d | nn.Conv2d | nn.Linear, rank: int) -> nn.Sequential:
    """The two layers on the device "meta", where making them draws no random numbers."""
    bias = module.bias is not None
    with torch.device("meta"):
        if isinstance(module, nn.Linear):
            return nn.Sequential(
                nn.Linear(module.in_features, rank, bias=False), nn.Linear(rank, module.out_features, bias=bias)
            )
        kind: Any = type(module)
        first = kind(
            module.in_channels,
            rank,
            module.kernel_size,
            stride=module.stride,
            padding=module.padding,
            dilation=module.dilation,
            bias=False,
            padding_mode=module.padding_mode,
        )
        return nn.Sequential(first, kind(rank, module.out_channels, 1, bias=bias))
