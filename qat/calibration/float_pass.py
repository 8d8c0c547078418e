"""The float network of a prepared model, layer by layer, beside the integer one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from ..integers.tensor import QuantizedTensor
from ..layers.layer import Layer, Step, named
from ..model import PreparedModel

Batches = Iterable[Tensor | Sequence[Tensor]]


def inputs_of(model: PreparedModel, batches: Batches) -> Iterator[dict[str, Tensor]]:
    """{input name: float tensor} of each batch, checked; batches of no samples are left out."""
    host = model.quantizers.host
    count = 0
    for batch in batches:
        values = batch if isinstance(batch, (tuple, list)) else (batch,)
        if values and isinstance(values[0], (tuple, list)):
            values = values[0]
        inputs = host(values[: len(host.arguments)], model)
        if all(map(len, inputs.values())):
            yield inputs
            count += 1
    if not count:
        raise ValueError("batches must hold at least one sample, not none")


def float_layers(model: PreparedModel, inputs: Mapping[str, Tensor]) -> Iterator[tuple[Layer, list[Tensor], Tensor]]:
    """Every layer of the float network with its sources and its result."""
    values = {name: x.float() for name, x in inputs.items()}
    for layer in model.quantizers:
        sources = [values[source] for source in layer.sources]
        values[layer.name] = layer.real(sources, model)
        yield layer, sources, values[layer.name]


@torch.no_grad()
def layer_inputs(
    model: PreparedModel, batches: Iterable[Mapping[str, Tensor]]
) -> Iterator[tuple[Layer, list[tuple[Tensor, QuantizedTensor]]]]:
    """Every layer, and what it reads first of each batch, in the float network and in the integer one.

    model : in eval mode. A layer is computed when the next one is asked for, so until then it may be changed. What
    later layers read is kept, of all batches: each layer is computed once.
    """
    layers, step = model.quantizers, Step(model)
    reals = [{name: x.float() for name, x in inputs.items()} for inputs in batches]
    integers = [{name: layers.quantized(name, x, step) for name, x in inputs.items()} for inputs in batches]
    last = {source: layer for layer in layers for source in layer.sources}
    for layer in layers:
        first = layer.sources[0]
        yield layer, [(real[first], codes[first]) for real, codes in zip(reals, integers, strict=True)]
        step = Step(model)
        for real, codes in zip(reals, integers, strict=True):
            with named(layer.name):
                made = layer([codes[source] for source in layer.sources], step)
            real[layer.name] = layer.real([real[source] for source in layer.sources], model)
            codes[layer.name] = made
            for source in {source for source in layer.sources if last[source] is layer}:
                del real[source], codes[source]


def full_precision(model: PreparedModel) -> torch.autocast:
    """A context in which float32 products are float32, whatever autocast is around it."""
    return torch.autocast(model.quantizers.device.type, enabled=False)
