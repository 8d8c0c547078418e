"""Structured pruning: whole output channels, by the magnitude of their weights."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from ..host import tensor_named
from ..layers.activation import Activation, Dropout
from ..layers.layer import Layer
from ..layers.masks import SUFFIX, mask_of, set_mask
from ..layers.moves import Reshape
from ..layers.pools import AveragePool, MaxPool
from ..layers.raw_pool import RawAveragePool
from ..layers.tables.table import Table
from ..layers.tables.tflm_tables import FixedTable
from ..layers.weighted import Weighted
from ..model import PreparedModel
from ..prepare import prepare
from .prune import check_layers, check_share

# The attribute of torch's modules that says a size, by the axis of the weight that has it.
SIZES = (("out_channels", "out_features", "num_features"), ("in_channels", "in_features"))


@dataclass(frozen=True)
class Chain:
    """The layers that agree on the channels of `first`: depthwise ones behind it, and the one that reads them all."""

    first: Weighted
    depthwise: list[Weighted]
    reader: Weighted

    def per_channel(self) -> list[str]:
        """The names of the parameters and statistics with these channels on axis 0."""
        names: list[str | None] = []
        for layer in (self.first, *self.depthwise):
            norm = layer.batch_norm
            names += [layer.weight_name, layer.bias_name]
            names += [norm.weight, norm.bias, norm.running_mean, norm.running_var] if norm else []
        return [name for name in names if name is not None]


@torch.no_grad()
def prune_channels(
    model: nn.Module,
    example_inputs: Tensor | Sequence[Tensor],
    share: float,
    *,
    layers: str = "*",
    remove: bool = True,
) -> nn.Module:
    """A copy of a float model without the share of each layer's output channels whose weights are the smallest.

    example_inputs : as for `prepare`
    share : 0 ≤ share < 1 of the channels of each layer, rounded down; measured by the l1 norm of the weights with
        BatchNorm folded in (Li et al., "Pruning Filters for Efficient ConvNets", 2017), among equal ones the first
    layers : a pattern of the names of the layers that lose channels, as in `fnmatch`
    remove : take the channels out of the modules, so that all behind is smaller; otherwise keep them at 0 by masks of
        their weights, biases and BatchNorm parameters, which gives the same values where the activation functions
        between keep 0

    A layer loses channels if one other layer, not a grouped one, reads them all, with at most pools, dropout,
    activation functions, a Flatten and depthwise convolutions between; all other layers keep theirs. Parameters that
    several layers share stay. Raises ``ValueError`` where the model's own code depends on the number of channels.
    """
    check_share(share)
    if isinstance(model, PreparedModel):
        raise ValueError("model must be a float model, not one that is prepared: its layers have fixed shapes")
    prepared = prepare(model, example_inputs)
    check_layers(layers, (layer.name for layer in prepared.quantizers if isinstance(layer, Weighted)))
    result = copy.deepcopy(model)
    for chain in chains(prepared):
        if fnmatchcase(chain.first.name, layers):
            norm = chain.first.folded(prepared)[0].abs().flatten(1).sum(1)
            kept = torch.ones_like(norm, dtype=torch.bool)
            kept[norm.argsort(stable=True)[: int(share * len(norm))]] = False
            (_remove if remove else _mask)(result, chain, kept)
    if remove:
        try:
            prepare(result, example_inputs)
        except (RuntimeError, ValueError) as error:
            raise ValueError(f"model must not depend on its numbers of channels: {error}") from error
    return result


def chains(model: PreparedModel) -> list[Chain]:
    """All layers that may lose output channels, with those that are concerned."""
    weighted = [layer for layer in model.quantizers if isinstance(layer, Weighted)]
    uses = Counter(name for layer in weighted for name in layer.parameter_names)
    found = (_chain(first, list(model.quantizers), model) for first in weighted)
    return [
        chain
        for chain in found
        if chain is not None and all(uses[name] <= 1 for name in (*chain.per_channel(), chain.reader.parameter))
    ]


def _chain(first: Weighted, layers: list[Layer], model: PreparedModel) -> Chain | None:
    depthwise: list[Weighted] = []
    layer: Layer = first
    flat = first.geometry is None
    if not first.rewritable or (first.geometry is not None and first.geometry.groups > 1):
        return None
    while True:
        readers = [reader for reader in layers if layer.name in reader.sources]
        if layer.name in model.quantizers.results.layers.values() or len(readers) != 1:
            return None
        layer = readers[0]
        if isinstance(layer, Weighted):
            if not layer.rewritable:
                return None
            weight = tensor_named(model, layer.parameter)
            if layer.geometry is None or layer.geometry.groups == 1:
                # A matrix product has its channels last, a convolution first: between them there must be a Flatten.
                return Chain(first, depthwise, layer) if flat == (layer.geometry is None) else None
            if weight.shape[1] > 1 or len(weight) != layer.geometry.groups:
                return None
            depthwise.append(layer)
        elif isinstance(layer, (AveragePool, MaxPool, RawAveragePool, Reshape)):
            if flat or (isinstance(layer, Reshape) and len(layer.shape) != 1):
                return None
            flat = isinstance(layer, Reshape)
        elif not isinstance(layer, (Activation, Dropout, FixedTable, Table)):
            return None


def _mask(model: nn.Module, chain: Chain, kept: Tensor) -> None:
    parameters = dict(model.named_parameters())
    for name in chain.per_channel():
        if name in parameters:
            shape = parameters[name].shape
            set_mask(model, name, kept.view(-1, *[1] * (len(shape) - 1)).expand(shape).clone())


def _remove(model: nn.Module, chain: Chain, kept: Tensor) -> None:
    channels = kept.nonzero().flatten()
    for name in chain.per_channel():
        _select(model, name, 0, channels)
    for layer in chain.depthwise:
        model.get_submodule(layer.parameter.rpartition(".")[0]).groups = len(channels)  # type: ignore[assignment]
        _resize(model, layer.parameter, 1, len(channels))
    # Behind a Flatten each channel has several inputs, one behind the other.
    weight = tensor_named(model, chain.reader.parameter)
    inputs = torch.arange(weight.shape[1], device=weight.device).view(len(kept), -1)[channels].flatten()
    _select(model, chain.reader.parameter, 1, inputs)


def _select(model: nn.Module, name: str, axis: int, index: Tensor) -> None:
    """Keep only `index` on that axis of a parameter or buffer, and of its mask."""
    path, _, attribute = name.rpartition(".")
    module, tensor, mask = model.get_submodule(path), tensor_named(model, name), mask_of(model, name)
    chosen = tensor.detach().index_select(axis, index)
    setattr(module, attribute, nn.Parameter(chosen, tensor.requires_grad) if name in _parameters(model) else chosen)
    if mask is not None:
        setattr(module, attribute + SUFFIX, mask.index_select(axis, index))
    _resize(model, name, axis, len(index))


def _parameters(model: nn.Module) -> set[str]:
    return {name for name, _ in model.named_parameters()}


def _resize(model: nn.Module, name: str, axis: int, size: int) -> None:
    module = model.get_submodule(name.rpartition(".")[0])
    for attribute in SIZES[axis]:
        if hasattr(module, attribute):
            setattr(module, attribute, size)
