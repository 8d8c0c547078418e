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
    """{input name: float tensor} of each batch, checked."""
    host = model.quantizers.host
    count = 0
    for batch in batches:
        values = batch if isinstance(batch, (tuple, list)) else (batch,)
        if values and isinstance(values[0], (tuple, list)):
            values = values[0]
        yield host(values[: len(host.arguments)], model)
        count += 1
    if not count:
        raise ValueError("batches must hold at least one batch, not none")


def float_layers(model: PreparedModel, inputs: Mapping[str, Tensor]) -> Iterator[tuple[Layer, list[Tensor], Tensor]]:
    """Every layer of the float network with its sources and its result."""
    values = {name: x.float() for name, x in inputs.items()}
    for layer in model.quantizers:
        sources = [values[source] for source in layer.sources]
        values[layer.name] = layer.real(sources, model)
        yield layer, sources, values[layer.name]


def input_pairs(
    model: PreparedModel, batches: Iterable[Mapping[str, Tensor]], layer: Layer
) -> Iterator[tuple[Tensor, QuantizedTensor]]:
    """What `layer` reads first in the float network and in the integer one, for every batch; `model` in eval mode."""
    for inputs in batches:
        real = next(sources[0] for reached, sources, _ in float_layers(model, inputs) if reached is layer)
        step = Step(model)
        tensors = {name: model.quantizers.quantized(name, x, step) for name, x in inputs.items()}
        for reached in model.quantizers:
            if reached is layer:
                break
            with named(reached.name):
                tensors[reached.name] = reached([tensors[source] for source in reached.sources], step)
        yield real, tensors[layer.sources[0]]


def full_precision(model: PreparedModel) -> torch.autocast:
    """A context in which float32 products are float32, whatever autocast is around it."""
    return torch.autocast(model.quantizers.device.type, enabled=False)
