"""`PreparedModel`: the user's parameters under their own names, and the quantized layers that compute with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from emulator import Arithmetic

from .layer import INPUT, Layer, Step, named
from .quantizers import ActivationQuantizer
from .tensor import QuantizedTensor
from .weighted import Weighted


class QuantizedLayers(nn.Module):
    """All that quantization adds to a model: the input's quantizer, and the layers in the order in which they run.

    input : quantizer of the model's input; layers : {layer name, with "/" for "."}: the layers
    output : name of the layer whose codes are the model's result
    input_shape : without the batch axis; arithmetic : what the layers compute with
    """

    def __init__(
        self,
        layers: Iterable[Layer],
        output: str,
        input_shape: tuple[int, ...],
        arithmetic: Arithmetic,
        learn_scales: bool,
    ) -> None:
        super().__init__()
        self.input = ActivationQuantizer(arithmetic.activation_bits, learn_scales)
        # Names of modules may not have dots.
        self.layers = nn.ModuleDict({layer.name.replace(".", "/"): layer for layer in layers})
        self.output = output
        self.input_shape = input_shape
        self.arithmetic = arithmetic

    def __iter__(self) -> Iterator[Layer]:
        for layer in self.layers.values():
            assert isinstance(layer, Layer)
            yield layer

    def check(self, x: object) -> Tensor:
        """`x` if it is a float tensor of the model's input shape without NaN, for any batch; an error otherwise."""
        if not isinstance(x, Tensor) or not x.is_floating_point():
            raise TypeError(f"x must be a float tensor, not {x.dtype if isinstance(x, Tensor) else type(x).__name__}")
        if tuple(x.shape[1:]) != self.input_shape or x.ndim != len(self.input_shape) + 1:
            shape = ", ".join(map(str, self.input_shape))
            raise ValueError(f"x must have shape (batch, {shape}), not {tuple(x.shape)}")
        if bool(x.isnan().any()):
            raise ValueError("x must not contain NaN")
        return x

    def forward(self, x: Tensor, step: Step) -> dict[str, QuantizedTensor]:
        """{name: tensor} of the input and of all layers; what should follow the pass is left in ``step.updates``."""
        self.check(x)
        with torch.autocast(x.device.type, enabled=False):
            tensors = {INPUT: self.input(x)}
            if self.training and self.input.scale.log_ratio is None:
                step.updates.append(lambda: self.input.follow(x.detach().float()))
            for layer in self:
                with named(layer.name):
                    tensors[layer.name] = layer(tensors[layer.source], step)
        return tensors


class PreparedModel(nn.Module):
    """A quantized network in torch; made by `prepare`.

    It has the float model's submodules, parameters and buffers under the same names, and `quantizers` with everything
    that quantization adds. Its forward takes float32 (batch, …) of any batch size and returns the dequantized codes of
    the last layer; in ``train()`` the same as in ``eval()`` but for dropout. BatchNorm's running statistics, and
    observers where scales are not learned, are updated behind the forward pass, for the next one.
    """

    def __init__(self, owner: nn.Module, quantizers: QuantizedLayers) -> None:
        super().__init__()
        for name, child in owner.named_children():
            if name == "quantizers":
                raise ValueError("model must not have a submodule named 'quantizers': the prepared model adds one")
            self.add_module(name, child)
        for name, parameter in owner.named_parameters(recurse=False):
            self.register_parameter(name, parameter)
        for name, buffer in owner.named_buffers(recurse=False):
            self.register_buffer(name, buffer, persistent=name not in owner._non_persistent_buffers_set)
        self.quantizers = quantizers

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> PreparedModel:
        """What ``to()``, ``half()`` and the like call; scales and master weights are float32, on every device."""
        kind = fn(torch.zeros(())).dtype
        if kind != torch.float32:
            raise TypeError(f"a prepared model must stay in float32, not become {kind}")
        result: PreparedModel = super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return result

    def forward(self, x: Tensor) -> Tensor:
        """Float values (batch, …) to the dequantized codes of the last layer, float32."""
        step = Step(self)
        result = self.quantizers(x, step)[self.quantizers.output].real
        with torch.autocast(x.device.type, enabled=False):
            for update in step.updates:
                update()
        return cast(Tensor, result)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """All modules in eval mode, their own modes afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@torch.no_grad()
def codes(model: PreparedModel, x: Tensor) -> dict[str, NDArray[np.int8]]:
    """{layer name: int8 codes} in eval mode, (batch, channels, height, width) or (batch, length).

    x : float32, as the model takes it. Names, values and layout are those of ``emulator.run_graph(…, every=True)`` on
    the exported file: the vector that a Flatten makes of a feature map is in the contract's order (row, column,
    channel).
    """
    check_prepared(model)
    with evaluating(model):
        tensors = model.quantizers(x, Step(model))
    return {layer.name: tensors[layer.name].stored_codes() for layer in model.quantizers if layer.makes_codes(tensors)}


@torch.no_grad()
def overflow_counts(model: PreparedModel, x: Tensor) -> dict[str, NDArray[np.int64]]:
    """{name of a convolution or linear layer: sums of `x` that overflowed, int64 (output channels,)}, in eval mode.

    x : as for `codes`. The counts are those of ``emulator.run_graph_counts`` and of the hardware's counters.
    """
    check_prepared(model)
    with evaluating(model):
        tensors = model.quantizers(x, Step(model))
        return {
            layer.name: layer.overflows(tensors[layer.source], model)
            for layer in model.quantizers
            if isinstance(layer, Weighted)
        }


def check_prepared(model: object) -> None:
    """Raise ``TypeError`` unless `model` is prepared."""
    if not isinstance(model, PreparedModel):
        raise TypeError(f"model must be made by qat.prepare, not {type(model).__name__}")
