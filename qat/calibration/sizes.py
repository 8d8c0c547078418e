"""Sizes: how many bytes the codes of weights and of activations take."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..layers.weighted import Weighted
from ..model import PreparedModel, check_prepared, evaluating
from ..scales.quantizers import ActivationQuantizer
from ..scales.weight_quantizers import WeightQuantizer
from .float_pass import float_layers, full_precision


@dataclass(frozen=True, eq=False)
class Stored:
    """A tensor that is stored as codes: the weights of a layer, its result, or an input.

    name : of the layer or the input; field : of `LayerSettings`, which sets the bits of `quantizer`
    count : codes, of a result or an input those of one sample
    """

    name: str
    field: str
    quantizer: WeightQuantizer | ActivationQuantizer
    count: int

    def bytes(self, bits: int) -> int:
        """Bytes of all codes, packed at `bits` each and filled up to a whole byte."""
        return math.ceil(self.count * bits / 8)


def weight_bytes(model: PreparedModel) -> int:
    """Bytes of all weights' codes, each layer's packed to whole bytes; scales and biases not counted."""
    check_prepared(model)
    return sum(stored.bytes(stored.quantizer.bits) for stored in stored_weights(model))


def layer_bits(model: PreparedModel) -> dict[str, dict[str, int]]:
    """{layer: {"weight_bits": …, "activation_bits": …}}, of inputs too: the widths of their codes.

    A layer without weights has no weight bits, and one that hands on the codes that it reads no activation bits.
    """
    check_prepared(model)
    found: dict[str, dict[str, int]] = {}
    for layer in model.quantizers:
        if isinstance(layer, Weighted):
            found.setdefault(layer.name, {})["weight_bits"] = layer.weight.bits
    for name, quantizer in model.quantizers.activations().items():
        found.setdefault(name, {})["activation_bits"] = quantizer.bits
    return found


@torch.no_grad()
def activation_bytes(model: PreparedModel, *inputs: Tensor) -> int:
    """Bytes of the codes of all inputs and of all layers' results for one sample, each tensor packed to whole bytes.

    inputs : as for `qat.codes`; only their shapes matter. A tensor counts once, however many layers read it; a layer
    that hands on the codes that it reads, such as a maximum pool, does not count.
    """
    check_prepared(model)
    with evaluating(model):
        tensors = model.quantizers.host(inputs, model)
        return sum(stored.bytes(stored.quantizer.bits) for stored in stored_activations(model, tensors))


def stored_weights(model: PreparedModel) -> list[Stored]:
    """The weights of all layers; those that several layers share under the first one's name."""
    first: dict[WeightQuantizer, Weighted] = {}
    for layer in model.quantizers:
        if isinstance(layer, Weighted):
            first.setdefault(layer.weight, layer)
    return [
        Stored(layer.name, "weight_bits", quantizer, layer.floats(model)[0].numel())
        for quantizer, layer in first.items()
    ]


@torch.no_grad()
def stored_activations(model: PreparedModel, inputs: Mapping[str, Tensor]) -> list[Stored]:
    """The inputs, and the results of all layers with a quantizer of their own; `inputs` give the shapes."""
    counts = {name: math.prod(x.shape[1:]) for name, x in inputs.items()}
    with full_precision(model):
        for layer, _, y in float_layers(model, inputs):
            counts[layer.name] = math.prod(y.shape[1:])
    quantizers = model.quantizers.activations()
    return [Stored(name, "activation_bits", quantizer, counts[name]) for name, quantizer in quantizers.items()]
