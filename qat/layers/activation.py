"""Layers that change codes and no scale: the activation function that stands alone, and Dropout."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from ..integers.straight_through import straight_through
from ..integers.tensor import QuantizedTensor
from ..scales.quantizers import Clamp, quantized_bounds
from .layer import Layer, Step
from .onnx_writer import OnnxWriter


class Activation(Layer):
    """A clamp of codes that no requantization can do on its way; scale and zero point unchanged.

    clamp : the real bounds
    """

    def __init__(self, name: str, source: str, clamp: Clamp) -> None:
        super().__init__(name, source)
        self.clamp = clamp

    def forward(self, inputs: Sequence[QuantizedTensor], step: Step) -> QuantizedTensor:
        (x,) = inputs
        low, high = quantized_bounds(self.clamp, x.scale, x.zero_point, x.y_min, x.y_max)
        value = x.centered.detach()
        clamped = value.clamp(low - x.zero_point, high - x.zero_point)
        surrogate = x.centered
        for bound, beyond in zip(self.clamp, (clamped > value, clamped < value), strict=True):
            if math.isfinite(bound):  # a real constant whatever the scale
                surrogate = torch.where(beyond, bound / x.scale, surrogate)
        return replace(x, centered=straight_through(surrogate, clamped), y_min=low, y_max=high)

    def makes_codes(self, inputs: Sequence[QuantizedTensor], y: QuantizedTensor) -> bool:
        return (inputs[0].y_min, inputs[0].y_max) != (y.y_min, y.y_max)

    def real(self, inputs: Sequence[Tensor], owner: nn.Module) -> Tensor:
        return inputs[0].clamp(*self.clamp)

    def write(
        self, writer: OnnxWriter, inputs: Sequence[QuantizedTensor], y: QuantizedTensor, owner: nn.Module
    ) -> None:
        # The dequantized bounds quantize to themselves, also where the clamp's own lie beyond the legal codes.
        scale = y.scale.detach().cpu().numpy()
        bounds = [
            writer.constant(f"{self.name}/{which}", np.float32(bound - y.zero_point) * scale)
            for which, bound in (("min", y.y_min), ("max", y.y_max))
        ]
        writer.quantized(self.name, writer.node("Clip", self.name, [writer.reals[self.sources[0]], *bounds]), y)


class Dropout(Layer):
    """In training: codes set to the zero point, and the scale times 1/(1 − p). Absent otherwise.

    p : probability, 0 ≤ p < 1; whole_channels : drop whole channels; module : name of the module whose mode decides
    """

    def __init__(self, name: str, source: str, *, p: float, whole_channels: bool, module: str) -> None:
        super().__init__(name, source)
        self.p, self.whole_channels, self.module = p, whole_channels, module

    def forward(self, inputs: Sequence[QuantizedTensor], step: Step) -> QuantizedTensor:
        (x,) = inputs
        if not step.owner.get_submodule(self.module).training or self.p == 0:
            return x
        shape = x.centered.shape[:2] if self.whole_channels else x.centered.shape
        kept = torch.rand(shape, device=x.centered.device) >= self.p
        kept = kept.view(*shape, *[1] * (x.centered.ndim - len(shape)))
        y_min, y_max = min(x.y_min, x.zero_point), max(x.y_max, x.zero_point)
        return replace(x, centered=x.centered * kept, scale=x.scale * (1 / (1 - self.p)), y_min=y_min, y_max=y_max)

    def makes_codes(self, inputs: Sequence[QuantizedTensor], y: QuantizedTensor) -> bool:
        return False

    def real(self, inputs: Sequence[Tensor], owner: nn.Module) -> Tensor:
        return inputs[0]

    def write(
        self, writer: OnnxWriter, inputs: Sequence[QuantizedTensor], y: QuantizedTensor, owner: nn.Module
    ) -> None:
        writer.reals[self.name] = writer.reals[self.sources[0]]
