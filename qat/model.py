"""`PreparedModel`: the user's parameters under their own names, and the quantized layers that compute with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .layers.layer import Step
from .layers.masks import restore_masks
from .layers.matrix_product import MatrixProduct
from .layers.weighted import Weighted
from .quantized_layers import QuantizedLayers
from .surroundings import check_transforms


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
    """{name of a convolution or product: sums that overflowed, int64 (output channels or columns,)}, in eval mode.

    inputs : as for `codes`. The counts are those of ``emulator.run_graph_counts`` and of the hardware's counters, where
    those of a linear layer of sequences, or of a product of two activations, stand under LAYER/codes: LAYER is what
    brings its codes into torch's order.
    """
    check_prepared(model)
    layers, step = model.quantizers, Step(model)
    with evaluating(model):
        tensors = layers(layers.host(inputs, model), step)
        counts = {}
        for layer in layers:
            operands = [tensors[source] for source in layer.sources]
            if isinstance(layer, Weighted):
                counts[layer.name] = layer.overflows(operands[0], step)
            elif isinstance(layer, MatrixProduct):
                counts[layer.name] = layer.overflows(operands[0], operands[1])
        return counts


def check_prepared(model: object) -> None:
    """Raise ``TypeError`` unless `model` is prepared."""
    if not isinstance(model, PreparedModel):
        raise TypeError(f"model must be made by qat.prepare, not {type(model).__name__}")
