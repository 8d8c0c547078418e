"""Magnitude pruning of single weights: a share of each layer, or N of every M along the order of accumulation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from emulator.arithmetic import check_integer

from ..host import tensor_named
from ..layers.layer import Step
from ..layers.masks import set_mask
from ..layers.weighted import Weighted
from ..model import PreparedModel, evaluating
from ..prepare import prepare

KINDS = (nn.Conv1d, nn.Conv2d, nn.Linear)


@torch.no_grad()
def prune_weights(model: nn.Module, share: float, *, layers: str = "*") -> None:
    """Keep the share of each layer's weights with the smallest magnitude at 0, in place.

    model : a float model, or a prepared one
    share : 0 ≤ share < 1 of the weights of each convolution and linear layer, rounded down; among equal ones the first
    layers : a pattern of their names, as in `fnmatch`

    The weights' masks hold through every training that follows, `prepare` included: the exported codes are 0 there.
    Called again with a larger share it prunes further, as a gradual schedule does.
    """
    check_share(share)
    check_layers(layers, (name for name, module in model.named_modules() if isinstance(module, KINDS)))
    for name, module in model.named_modules():
        if isinstance(module, KINDS) and fnmatchcase(name, layers):
            weight = module.weight.detach().abs().flatten()
            smallest = weight.argsort(stable=True)[: int(share * weight.numel())]
            mask = torch.ones_like(weight, dtype=torch.bool)
            mask[smallest] = False
            set_mask(model, f"{name}.weight" if name else "weight", mask.view_as(module.weight))


@torch.no_grad()
def prune_pattern(
    model: nn.Module, example_inputs: Tensor | Sequence[Tensor], n: int = 2, m: int = 4, *, layers: str = "*"
) -> None:
    """N:M sparsity, in place: of every M weights that follow each other in the accumulation the N largest may stay.

    model : a float model, or a prepared one; example_inputs : as for `prepare`
    n, m : 1 ≤ n ≤ m; layers : a pattern of names, as in `fnmatch`

    The order is the contract's (section 2): (kernel row, kernel column, input channel), channel fastest, also for a
    linear layer behind the Flatten of a map. Where M does not divide a channel's weights, the last ones are a group of
    their own. Masks hold as those of `prune_weights`; among equal weights the first stay.
    """
    check_integer("m", m, 1, 1 << 16)
    check_integer("n", n, 1, m)
    weighted = weighted_layers(model, example_inputs)
    check_layers(layers, (layer.name for layer, _ in weighted))
    for layer, map_shape in weighted:
        if fnmatchcase(layer.name, layers):
            weight = tensor_named(model, layer.parameter)
            order = reduction_order(weight, map_shape)
            magnitude = weight.detach().flatten(1)[:, order].abs()
            steps = magnitude.shape[1]
            groups = nn.functional.pad(magnitude, (0, -steps % m), value=-1.0).view(len(weight), -1, m)
            largest = groups.argsort(dim=2, descending=True, stable=True)[:, :, :n]
            kept = torch.zeros_like(groups, dtype=torch.bool).scatter(2, largest, True).flatten(1)[:, :steps]
            mask = torch.empty_like(kept)
            mask[:, order] = kept
            set_mask(model, layer.parameter, mask.view_as(weight))


def weighted_layers(
    model: nn.Module, example_inputs: Tensor | Sequence[Tensor]
) -> list[tuple[Weighted, tuple[int, ...] | None]]:
    """The convolutions and linear layers as `prepare` makes them, each with the shape of the map that it reads flat."""
    prepared = model if isinstance(model, PreparedModel) else prepare(model, example_inputs)
    layers = prepared.quantizers
    examples = example_inputs if isinstance(example_inputs, (tuple, list)) else (example_inputs,)
    with evaluating(prepared):
        tensors = layers(layers.host([x[:1] for x in examples], prepared), Step(prepared))
    return [
        (layer, tensors[layer.sources[0]].map_shape)
        for layer in layers
        if isinstance(layer, Weighted) and layer.rewritable
    ]


def reduction_order(weight: Tensor, map_shape: tuple[int, ...] | None) -> Tensor:
    """The flat index in ``weight[0]`` of every step of the accumulation: int64 (steps,)."""
    shape = weight.shape[1:] if map_shape is None else map_shape
    index = torch.arange(weight[0].numel(), device=weight.device).view(shape)
    return index.movedim(0, -1).flatten()


def check_layers(pattern: str, names: Iterable[str]) -> None:
    """Raise ``ValueError`` for a pattern other than ``*`` that matches none of the layers of these names."""
    known = list(names)
    if pattern != "*" and not any(fnmatchcase(name, pattern) for name in known):
        raise ValueError(f"layers must match a convolution or linear layer ({', '.join(known)}), not {pattern!r}")


def check_share(share: float) -> None:
    """Raise ``ValueError`` unless 0 ≤ share < 1."""
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share < 1:
        raise ValueError(f"share must be a number from 0 to below 1, not {share!r}")
