"""`QuantizedLayers`: the layers of a prepared model, and their pass from tensor to tensor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from emulator import Arithmetic

from .host import Host
from .integers.chain import Chain
from .integers.tensor import QuantizedTensor
from .layers.layer import Layer, Requantized, Step, named
from .results import Results
from .scales.quantizers import ActivationQuantizer
from .scales.scale import LogScale
from .scales.settings import Settings
from .scales.together import materialized

RECORD = 256 + 2  # counts of each int8 code, of values cut off by an input's range, and of sums that overflowed


class QuantizedLayers(nn.Module):
    """All that quantization adds to a model: the inputs' quantizers, and the layers in the order in which they run.

    inputs, layers : {name of an input or a layer, as `key` gives it: its quantizer or the layer}
    host : what is computed in floats before
    results : the layers whose codes the model returns
    states : input that starts a recurrence → the layer that makes the next such state
    arithmetic : what the layers compute with; settings : the rules on how they quantize
    """

    statistics_steps: Tensor
    recorded: Tensor

    def __init__(
        self,
        host: Host,
        layers: Iterable[Layer],
        results: Results,
        arithmetic: Arithmetic,
        settings: Settings,
        states: Mapping[str, str],
    ) -> None:
        super().__init__()
        self.host = host
        quantizers = {key(name): ActivationQuantizer(settings.of(name), arithmetic) for name in host.names}
        self.inputs = nn.ModuleDict(quantizers)
        self.layers = nn.ModuleDict({key(layer.name): layer for layer in layers})
        self.results = results
        self.states = dict(states)
        # {name of a layer: the place of the last layer that reads it}, one beyond all where it is a result.
        self.read_until = {layer.name: -1 for layer in self}
        self.read_until |= {source: place for place, layer in enumerate(self) for source in layer.sources}
        self.read_until |= dict.fromkeys(results.layers.values(), len(self.layers))
        self.arithmetic = arithmetic
        self.settings = settings
        learned = [scale for scale in self.modules() if isinstance(scale, LogScale)]
        self.learned_scales = sorted(learned, key=lambda scale: scale.value.ndim)
        # Training steps in which BatchNorm's statistics still move; negative for any number.
        self.register_buffer("statistics_steps", torch.tensor(-1))
        # What `qat.record_ranges` counted, a row for each of `activations`; zeros where nothing is recorded.
        self.register_buffer("recorded", torch.zeros(len(self.activations()), RECORD, dtype=torch.int64))

    def __iter__(self) -> Iterator[Layer]:
        for layer in self.layers.values():
            assert isinstance(layer, Layer)
            yield layer

    def activations(self) -> dict[str, ActivationQuantizer]:
        """{name: quantizer} of the inputs, and of the layers that have one."""
        inputs = {name: self.inputs[key(name)] for name in self.host.names}
        layers = {layer.name: layer.output for layer in self if isinstance(layer, Requantized)}
        return cast(dict[str, ActivationQuantizer], {**inputs, **layers})

    @property
    def input(self) -> ActivationQuantizer:
        """The quantizer of the only input; a model with several has no such attribute."""
        if len(self.inputs) != 1:
            raise AttributeError(f"input must be the only one; there are {', '.join(self.host.names)}: read `inputs`")
        (quantizer,) = self.inputs.values()
        return cast(ActivationQuantizer, quantizer)

    @property
    def device(self) -> torch.device:
        """Where the quantizers are."""
        return self.statistics_steps.device

    def forward(self, inputs: dict[str, Tensor], step: Step) -> dict[str, QuantizedTensor]:
        """{name: tensor} of the inputs and of all layers; what should follow the pass is left in `step`."""
        tensors: dict[str, QuantizedTensor] = {}
        step.scales = materialized(self.learned_scales)
        with torch.autocast(self.device.type, enabled=False):
            for name, x in inputs.items():
                with named(name):
                    tensors[name] = self.quantized(name, x, step)
            chain, waiting = Chain(), list[str]()
            for place, layer in enumerate(self):
                with named(layer.name):
                    operands = [tensors[source] for source in layer.sources]
                    made = None if hooked(layer) else layer.chained(operands, step, chain)
                    if made is not None:
                        tensors[layer.name] = made
                        waiting.append(layer.name)
                        continue
                    if any(source in waiting for source in layer.sources):
                        close(chain, [name for name in waiting if self.read_until[name] >= place], tensors)
                        chain, waiting = Chain(), []
                        operands = [tensors[source] for source in layer.sources]
                    tensors[layer.name] = layer(operands, step)
            close(chain, [name for name in waiting if self.read_until[name] == len(self.layers)], tensors)
        return tensors

    def quantized(self, name: str, x: Tensor, step: Step) -> QuantizedTensor:
        """The codes of the input `name`."""
        quantizer = cast(ActivationQuantizer, self.inputs[key(name)])
        # A start of zeros says nothing about the states that follow it, whose scale it has.
        says = name not in self.states or bool(x.any())
        if self.training and says and not quantizer.scale.learned:
            step.updates.append(lambda: quantizer.follow(x.detach().float()))
        result: QuantizedTensor = quantizer(x, known=step.scales)
        return result


def hooked(layer: nn.Module) -> bool:
    """Whether somebody listens to the layer's calls."""
    return bool(layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks or layer._backward_pre_hooks)


def close(chain: Chain, names: Sequence[str], tensors: dict[str, QuantizedTensor]) -> None:
    """Give the tensors of these names, results of the chain's steps, what stands for them in autograd's graph."""
    if names:
        made = chain.close([tensors[name].centered for name in names])
        for name, centered in zip(names, made, strict=True):
            tensors[name] = replace(tensors[name], centered=centered)


def key(name: str) -> str:
    """`name` as the key of a ``ModuleDict``: neither a dot nor the name of one of its methods."""
    plain = name.replace(".", "/")
    return f"{plain}/" if hasattr(nn.ModuleDict, plain) else plain
