"""Cross-layer equalization: the channels between two layers get equal ranges of weights on either side."""

from __future__ import annotations

import math
from collections import Counter

import torch

from ..host import tensor_named
from ..layers.activation import Activation, Dropout
from ..layers.layer import Layer, Requantized
from ..layers.moves import Reshape
from ..layers.pools import AveragePool, MaxPool
from ..layers.raw_pool import RawAveragePool
from ..layers.weighted import Weighted
from ..model import PreparedModel
from ..scales.quantizers import NO_CLAMP, Clamp

RELU: Clamp = (0.0, math.inf)
SWEEPS = 20  # over all pairs; the ranges of a chain of layers depend on each other
SETTLED = 1e-3  # the largest logarithm of a factor with which the sweeps end


@torch.no_grad()
def equalize(model: PreparedModel) -> list[tuple[str, str]]:
    """Scale each channel between two layers so that its weights have the same range in both; the names of the pairs.

    As Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction" (2019), section 4.1. It
    rewrites parameters of `model`; the float network stays the same function, up to float32's rounding. A pair is two
    convolutions or linear layers between which there is at most a ReLU, pools, dropout and a Flatten, and no other
    reader. A BatchNorm behind the first one must have parameters, which take the factors. Parameters that several
    layers share are left alone.

    ReLU6 and other clamps from above end a pair. With channels divided by factors their bounds would have to be divided
    too, and a layer has one clamp for all channels. That no calibration image reaches the bounds would say nothing of
    other inputs, so the function would not be the same. The paper replaces ReLU6 by ReLU, which changes it too: whoever
    wants these pairs does so in the float model, before `prepare`, and measures what it costs.
    """
    found = pairs(model)
    for _ in range(SWEEPS):
        change = max((_equalize(first, second, model) for first, second in found), default=0.0)
        if change < SETTLED:
            break
    return [(first.name, second.name) for first, second in found]


def pairs(model: PreparedModel) -> list[tuple[Weighted, Weighted]]:
    """All pairs of layers whose common channels can be scaled."""
    layers = list(model.quantizers)
    weighted = [layer for layer in layers if isinstance(layer, Weighted)]
    uses = Counter(name for layer in weighted for name in layer.parameter_names)
    result = []
    for first in weighted:
        second = _reader(first, layers, set(model.quantizers.results.layers.values()))
        norm = first.batch_norm
        scalable = norm is None or (norm.weight is not None and norm.bias is not None)
        if second is None or not (scalable and first.rewritable and second.rewritable):
            continue
        if all(uses[name] == 1 for name in (*first.parameter_names, second.parameter)):
            result.append((first, second))
    return result


def _reader(first: Weighted, layers: list[Layer], shown: set[str]) -> Weighted | None:
    """The layer that alone reads the channels of `first`, if all that lies between commutes with positive factors."""
    layer: Layer = first
    flat = first.geometry is None
    while True:
        clamp = layer.clamp if isinstance(layer, (Requantized, Activation)) else NO_CLAMP
        readers = [reader for reader in layers if layer.name in reader.sources]
        if clamp not in (NO_CLAMP, RELU) or layer.name in shown or len(readers) != 1:
            return None
        layer = readers[0]
        if isinstance(layer, Weighted):
            # A matrix product has its channels last, a convolution first: between them there must be a Flatten.
            return layer if flat == (layer.geometry is None) else None
        if isinstance(layer, (AveragePool, MaxPool, RawAveragePool, Reshape)):
            if flat or (isinstance(layer, Reshape) and len(layer.shape) != 1):
                return None
            flat = isinstance(layer, Reshape)
        elif not isinstance(layer, (Activation, Dropout)):
            return None


def _equalize(first: Weighted, second: Weighted, model: PreparedModel) -> float:
    """Scale one pair's channels; the largest logarithm of a factor."""
    outgoing = first.folded(model)[0].flatten(1).abs().amax(1)
    weight = second.folded(model)[0]
    # (groups, outputs per group, channels per group, weights of each): behind a Flatten a channel has several inputs.
    groups = 1 if second.geometry is None else second.geometry.groups
    shape = (groups, len(weight) // groups, len(outgoing) // groups, -1)
    grouped = weight.reshape(shape)
    incoming = grouped.abs().amax((1, 3)).flatten()
    factor = torch.where((outgoing > 0) & (incoming > 0), torch.sqrt(outgoing / incoming), 1.0)
    norm = first.batch_norm
    for name in (first.weight_name, first.bias_name) if norm is None else (norm.weight, norm.bias):
        if name is not None:
            tensor = tensor_named(model, name)
            tensor.div_(factor.view(-1, *[1] * (tensor.ndim - 1)))
    factors = factor.view(groups, 1, -1, 1).expand_as(grouped).reshape(weight.shape)
    tensor_named(model, second.parameter).mul_(factors)
    return float(factor.log().abs().max())
