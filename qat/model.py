"""`PreparedModel`: the user's parameters under their own names, and the quantized layers that compute with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from emulator import Arithmetic

from .host import Host
from .integers.chain import Chain
from .integers.tensor import QuantizedTensor
from .layers.layer import Layer, Requantized, Step, named
from .layers.masks import restore_masks
from .layers.weighted import Weighted
from .results import Results
from .scales.quantizers import ActivationQuantizer
from .scales.scale import LogScale
from .scales.settings import Settings
from .scales.together import materialized
from .surroundings import check_transforms

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


class PreparedModel(nn.Module):
    """A quantized network in torch; made by `prepare`.

    It has the float model's submodules, parameters and buffers under the same names, and `quantizers` with everything
    that quantization adds. Its forward takes what the float model takes, of any batch size, and returns what that
    returns, a tensor or several in tuples, lists and dictionaries, as dequantized codes; in ``train()`` the same as in
    ``eval()`` but for dropout. BatchNorm's running statistics, and observers where scales are not learned, are updated
    behind the forward pass, for the next one. torch.compile leaves it as it is, with the same values, and compiles what
    is around it.
    """

    def __init__(self, owner: nn.Module, quantizers: QuantizedLayers) -> None:
        super().__init__()
        for name, child in owner._modules.items():  # a module may have several names
            if name == "quantizers":
                raise ValueError("model must not have a submodule named 'quantizers': the prepared model adds one")
            self.add_module(name, child)
        for name, parameter in owner.named_parameters(recurse=False):
            self.register_parameter(name, parameter)
        for name, buffer in owner.named_buffers(recurse=False):
            self.register_buffer(name, buffer, persistent=name not in owner._non_persistent_buffers_set)
        self.quantizers = quantizers
        # torch.compile would cut the pass to pieces, at every number that Python reads from a tensor.
        self._uncompiled = torch.compiler.disable(PreparedModel._forward)  # type: ignore[no-untyped-call]

    def __getstate__(self) -> dict[str, Any]:
        """What pickle and ``torch.save()`` keep: all but the way around torch.compile, which no file can hold."""
        return {name: value for name, value in self.__dict__.items() if name != "_uncompiled"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._uncompiled = torch.compiler.disable(PreparedModel._forward)  # type: ignore[no-untyped-call]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> PreparedModel:
        """What ``to()``, ``half()`` and the like call; scales and master weights are float32, on every device."""
        made = fn(torch.zeros((), device=self.quantizers.device))
        if made.dtype != torch.float32:
            raise TypeError(f"a prepared model must stay in float32, not become {made.dtype}")
        if made.is_meta:
            raise TypeError("a prepared model must stay on a device that holds numbers, not go to meta")
        result: PreparedModel = super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return result

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """What ``load_state_dict()`` calls first, here: the state may come from a model with other masks."""
        restore_masks(self, state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def forward(self, *inputs: Tensor) -> Any:
        """The model's arguments (batch, …) to the dequantized codes of its results, float32."""
        return self._uncompiled(self, *inputs)

    def _forward(self, *inputs: Tensor) -> Any:
        check_transforms("a prepared model")
        layers, step = self.quantizers, Step(self)
        if self.training:
            layers.recorded.zero_()  # of the weights before this step
        step.frozen = not self.training or int(layers.statistics_steps) == 0
        tensors = layers(layers.host(inputs, self), step)
        results = layers.results({name: tensors[name].real for name in layers.results.layers.values()})
        with torch.autocast(layers.device.type, enabled=False):
            for update in (*step.statistics, *step.updates):
                update()
        if not step.frozen and int(layers.statistics_steps) > 0:
            layers.statistics_steps -= 1
        return results


def key(name: str) -> str:
    """`name` as the key of a ``ModuleDict``: neither a dot nor the name of one of its methods."""
    plain = name.replace(".", "/")
    return f"{plain}/" if hasattr(nn.ModuleDict, plain) else plain


def freeze_statistics(model: PreparedModel, after: int | None = 0) -> None:
    """Freeze BatchNorm's running statistics after that many more training steps; at once by default, never for None.

    The usual schedule freezes them for the last part of a training, so that weights and scales settle on what will be
    exported. The count is part of the state: a resumed training goes on counting.
    """
    check_prepared(model)
    if after is not None and (type(after) is not int or after < 0):
        raise ValueError(f"after must be a number of training steps or None, not {after!r}")
    model.quantizers.statistics_steps.fill_(-1 if after is None else after)


@contextmanager
def restoring_modes(model: nn.Module) -> Iterator[None]:
    """All modules in their own modes afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """All modules in eval mode, their own modes afterwards."""
    with restoring_modes(model):
        model.eval()
        yield


@torch.no_grad()
def codes(model: PreparedModel, *inputs: Tensor) -> dict[str, NDArray[np.int8]]:
    """{layer name: int8 codes} in eval mode, in the layout of the layer's tensor in torch.

    inputs : as the model takes them. Names, values and layout are those of ``emulator.run_graph(…, every=True)`` on the
    exported file: the vector that a Flatten makes of a feature map is in the contract's order (row, column, channel).
    """
    check_prepared(model)
    layers = model.quantizers
    with evaluating(model):
        tensors = layers(layers.host(inputs, model), Step(model))
    return {
        layer.name: tensors[layer.name].stored_codes()
        for layer in layers
        if layer.makes_codes([tensors[source] for source in layer.sources], tensors[layer.name])
    }


@torch.no_grad()
def host_inputs(model: PreparedModel, *inputs: Tensor) -> dict[str, NDArray[np.float32]]:
    """{input name of the exported file: float32 array} for the model's arguments, for ``emulator.run_graph``.

    It is what the host has to compute: the rows that embeddings look up, the start of a recurrence.
    """
    check_prepared(model)
    with evaluating(model):
        tensors = model.quantizers.host(inputs, model)
    return {name: np.ascontiguousarray(x.float().cpu().numpy()) for name, x in tensors.items()}


@torch.no_grad()
def overflow_counts(model: PreparedModel, *inputs: Tensor) -> dict[str, NDArray[np.int64]]:
    """{name of a convolution or linear layer: sums that overflowed, int64 (output channels,)}, in eval mode.

    inputs : as for `codes`. The counts are those of ``emulator.run_graph_counts`` and of the hardware's counters, where
    those of a linear layer of sequences stand under LAYER/codes: LAYER is what brings its codes into torch's order.
    """
    check_prepared(model)
    layers, step = model.quantizers, Step(model)
    with evaluating(model):
        tensors = layers(layers.host(inputs, model), step)
        return {
            layer.name: layer.overflows(tensors[layer.sources[0]], step)
            for layer in layers
            if isinstance(layer, Weighted)
        }


def check_prepared(model: object) -> None:
    """Raise ``TypeError`` unless `model` is prepared."""
    if not isinstance(model, PreparedModel):
        raise TypeError(f"model must be made by qat.prepare, not {type(model).__name__}")
