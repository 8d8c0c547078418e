"""Layers that put codes in another order: along one axis, or between the channels and the map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..integers.tensor import QuantizedTensor
from .layer import Layer, Step
from .onnx_writer import OnnxWriter


class Gather(Layer):
    """Elements `places`, in that order, along an axis that is not the batch's."""

    places: Tensor

    def __init__(self, name: str, source: str, axis: int, places: Sequence[int]) -> None:
        super().__init__(name, source)
        self.axis = axis
        self.register_buffer("places", torch.tensor(places), persistent=False)

    def forward(self, inputs: Sequence[QuantizedTensor], step: Step) -> QuantizedTensor:
        return replace(inputs[0], centered=self.real([inputs[0].centered], step.owner), map_shape=None)

    def real(self, inputs: Sequence[Tensor], owner: nn.Module) -> Tensor:
        return inputs[0].index_select(self.axis, self.places)

    def write(
        self, writer: OnnxWriter, inputs: Sequence[QuantizedTensor], y: QuantizedTensor, owner: nn.Module
    ) -> None:
        places = writer.constant(f"{self.name}/places", self.places.cpu().numpy())
        result = writer.node("Gather", self.name, [writer.reals[self.sources[0]], places], axis=self.axis)
        writer.quantized(self.name, result, y)


class PixelShuffle(Layer):
    """Every factor² channels of a pixel become factor × factor pixels of one channel."""

    def __init__(self, name: str, source: str, factor: int) -> None:
        super().__init__(name, source)
        self.factor = factor

    def forward(self, inputs: Sequence[QuantizedTensor], step: Step) -> QuantizedTensor:
        return replace(inputs[0], centered=self.real([inputs[0].centered], step.owner))

    def real(self, inputs: Sequence[Tensor], owner: nn.Module) -> Tensor:
        return F.pixel_shuffle(inputs[0], self.factor)

    def write(
        self, writer: OnnxWriter, inputs: Sequence[QuantizedTensor], y: QuantizedTensor, owner: nn.Module
    ) -> None:
        source = writer.reals[self.sources[0]]
        result = writer.node("DepthToSpace", self.name, [source], blocksize=self.factor, mode="CRD")
        writer.quantized(self.name, result, y)


class PixelUnshuffle(PixelShuffle):
    """factor × factor pixels of a channel become factor² channels of one pixel."""

    def real(self, inputs: Sequence[Tensor], owner: nn.Module) -> Tensor:
        return F.pixel_unshuffle(inputs[0], self.factor)

    def write(
        self, writer: OnnxWriter, inputs: Sequence[QuantizedTensor], y: QuantizedTensor, owner: nn.Module
    ) -> None:
        channels = inputs[0].centered.shape[1]
        name = self.name if channels == 1 else f"{self.name}/blocks"
        result = writer.node("SpaceToDepth", name, [writer.reals[self.sources[0]]], blocksize=self.factor)
        if channels > 1:  # ONNX puts the pixels of all channels side by side, torch all pixels of a channel
            order = np.arange(y.centered.shape[1]).reshape(-1, channels).T.reshape(-1)
            result = writer.node("Gather", self.name, [result, writer.constant(f"{self.name}/places", order)], axis=1)
        writer.quantized(self.name, result, y)
