"""Layers that compute no new numbers: codes in another shape or order, selected, or framed by zeros."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch.nn.functional as F
from torch import Tensor, nn

from ..integers.chain import Chain, together
from ..integers.element_steps import Cut, Shaped
from ..integers.tensor import QuantizedTensor
from .layer import Layer, Step
from .onnx_writer import OnnxWriter


class Reshape(Layer):
    """The same codes under another shape, in torch's order.

    shape : without the batch axis
    """

    def __init__(self, name: str, source: str, shape: tuple[int, ...]) -> None:
        super().__init__(name, source)
        self.shape = shape

    def forward(self, inputs: Sequence[QuantizedTensor], step: Step) -> QuantizedTensor:
        (x,) = inputs
        origin = tuple(x.centered.shape[1:])
        # The accelerator stores the channels last, and leaves them there in the vector that it makes of a map.
        reorders = len(self.shape) == 1 and origin[0] > 1 and math.prod(origin[1:]) > 1
        return replace(x, centered=self.real([x.centered], step.owner), map_shape=origin if reorders else None)

    def chained(self, inputs: Sequence[QuantizedTensor], step: Step, chain: Chain) -> QuantizedTensor | None:
        (x,) = inputs
        # Of maps the values are many, and nothing is to be saved.
        if (
            x.centered.ndim > 3
            or len(self.shape) > 1
            or math.prod(x.centered.shape[1:-1]) > 1
            or not together(x.centered)
        ):
            return None
        return replace(x, centered=chain.add(Shaped(self.shape), (x.centered,), ()), map_shape=None)

    def real(self, inputs: Sequence[Tensor], owner: nn.Module) -> Tensor:
        return inputs[0].reshape(inputs[0].shape[0], *self.shape)

    def write(
        self, writer: OnnxWriter, inputs: Sequence[QuantizedTensor], y: QuantizedTensor, owner: nn.Module
    ) -> None:
        real = writer.reals[self.sources[0]]
        if len(self.shape) == 1:
            result = writer.node("Flatten", self.name, [real], axis=1)
        else:
            shape = writer.constant(f"{self.name}/shape", np.array((0, *self.shape)))
            result = writer.node("Reshape", self.name, [real, shape])
        writer.quantized(self.name, result, y)


class Transpose(Layer):
    """Axis i is the source's axis ``axes[i]``; the batch is axis 0 and stays."""

    def __init__(self, name: str, source: str, axes: tuple[int, ...]) -> None:
        super().__init__(name, source)
        self.axes = axes

    def forward(self, inputs: Sequence[QuantizedTensor], step: Step) -> QuantizedTensor:
        return replace(inputs[0], centered=inputs[0].centered.permute(self.axes))

    def real(self, inputs: Sequence[Tensor], owner: nn.Module) -> Tensor:
        return inputs[0].permute(self.axes)

    def write(
        self, writer: OnnxWriter, inputs: Sequence[QuantizedTensor], y: QuantizedTensor, owner: nn.Module
    ) -> None:
        result = writer.node("Transpose", self.name, [writer.reals[self.sources[0]]], perm=self.axes)
        writer.quantized(self.name, result, y)


class Slice(Layer):
    """Elements `places` (step at least 1) along an axis that is not the batch's."""

    def __init__(self, name: str, source: str, axis: int, places: range) -> None:
        super().__init__(name, source)
        self.axis, self.places = axis, places

    def forward(self, inputs: Sequence[QuantizedTensor], step: Step) -> QuantizedTensor:
        return replace(inputs[0], centered=self.real([inputs[0].centered], step.owner), map_shape=None)

    def chained(self, inputs: Sequence[QuantizedTensor], step: Step, chain: Chain) -> QuantizedTensor | None:
        (x,) = inputs
        if x.centered.ndim > 3 or not together(x.centered):
            return None
        cut = Cut(self.axis, slice(self.places.start, self.places.stop, self.places.step))
        return replace(x, centered=chain.add(cut, (x.centered,), ()), map_shape=None)

    def real(self, inputs: Sequence[Tensor], owner: nn.Module) -> Tensor:
        places = slice(self.places.start, self.places.stop, self.places.step)
        return inputs[0][(slice(None),) * self.axis + (places,)]

    def write(
        self, writer: OnnxWriter, inputs: Sequence[QuantizedTensor], y: QuantizedTensor, owner: nn.Module
    ) -> None:
        places = {"starts": self.places.start, "ends": self.places.stop, "axes": self.axis, "steps": self.places.step}
        names = [writer.constant(f"{self.name}/{which}", np.array([value])) for which, value in places.items()]
        writer.quantized(self.name, writer.node("Slice", self.name, [writer.reals[self.sources[0]], *names]), y)


class Pad(Layer):
    """A map or a sequence with real zeros around it.

    padding : top, left, bottom, right; 0, left, 0, right for a sequence
    """

    def __init__(self, name: str, source: str, padding: tuple[int, int, int, int]) -> None:
        super().__init__(name, source)
        self.padding = padding

    def forward(self, inputs: Sequence[QuantizedTensor], step: Step) -> QuantizedTensor:
        (x,) = inputs
        y_min, y_max = min(x.y_min, x.zero_point), max(x.y_max, x.zero_point)
        return replace(x, centered=self.real([x.centered], step.owner), y_min=y_min, y_max=y_max)

    def real(self, inputs: Sequence[Tensor], owner: nn.Module) -> Tensor:
        top, left, bottom, right = self.padding
        return F.pad(inputs[0], (left, right, top, bottom) if inputs[0].ndim == 4 else (left, right))

    def write(
        self, writer: OnnxWriter, inputs: Sequence[QuantizedTensor], y: QuantizedTensor, owner: nn.Module
    ) -> None:
        spatial, (top, left, bottom, right) = y.centered.ndim - 2, self.padding
        pads = [0, 0, *(top, left)[-spatial:], 0, 0, *(bottom, right)[-spatial:]]
        names = [writer.reals[self.sources[0]], writer.constant(f"{self.name}/pads", np.array(pads))]
        writer.quantized(self.name, writer.node("Pad", self.name, names), y)
