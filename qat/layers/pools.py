"""Average and maximum pools of maps, and of sequences, which are maps of height 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from emulator import Arithmetic, average_pool_scales

from ..integers.tensor import QuantizedTensor, as_map
from ..scales.settings import Settings
from .layer import Layer, Requantized, Step
from .onnx_writer import OnnxWriter


class AveragePool(Requantized):
    """Exact window sum, then requantization with a multiplier per position."""

    def __init__(
        self,
        name: str,
        source: str,
        *,
        arithmetic: Arithmetic,
        settings: Settings,
        size: tuple[int, int],
        kernel: tuple[int, int],
        strides: tuple[int, int],
        padding: tuple[int, int],
        count_padding: bool,
    ) -> None:
        super().__init__(name, source, arithmetic=arithmetic, settings=settings)
        self.size, self.kernel, self.strides, self.padding = size, kernel, strides, padding
        self.count_padding = count_padding

    def forward(self, inputs: Sequence[QuantizedTensor], step: Step) -> QuantizedTensor:
        (x,) = inputs
        area = self.kernel[0] * self.kernel[1]
        bound = area * max(map(abs, x.extremes))
        if bound >= 1 << (self.arithmetic.operand_bits - 1):
            raise ValueError(f"kernel must keep the sum in {self.arithmetic.operand_bits} bits, not be {self.kernel}")
        # max(P, 24) bits always fit float32's exact integers up to P = 24, and float64's beyond.
        number = torch.float32 if bound <= 1 << 24 else torch.float64
        acc = F.avg_pool2d(as_map(x.centered).to(number), self.kernel, self.strides, self.padding, divisor_override=1)
        counts = self.counts().to(acc.device)
        sequence = x.centered.ndim == 3

        def scales(y_scale: float) -> NDArray[np.float64]:
            windows = self.size, self.kernel, self.strides, self.padding * 2
            found = average_pool_scales(x.scale.item(), y_scale, *windows, count_padding=self.count_padding)
            return found[0] if sequence else found

        if sequence:
            acc, counts = acc.squeeze(2), counts[0]
        return self.requantized(acc, scales, x.scale / counts, bound, step)

    def counts(self) -> Tensor:
        """Positions that count, per window; (OH, OW) float32."""
        ones = torch.ones(1, 1, *self.size)
        area = self.kernel[0] * self.kernel[1]
        summed = F.avg_pool2d(ones, self.kernel, self.strides, self.padding, divisor_override=1)[0, 0]
        return torch.full_like(summed, area) if self.count_padding else summed

    def real(self, inputs: Sequence[Tensor], owner: nn.Module) -> Tensor:
        (x,) = inputs
        y = F.avg_pool2d(as_map(x), self.kernel, self.strides, self.padding, count_include_pad=self.count_padding)
        return self.clamped(y.squeeze(2) if x.ndim == 3 else y)

    def write(
        self, writer: OnnxWriter, inputs: Sequence[QuantizedTensor], y: QuantizedTensor, owner: nn.Module
    ) -> None:
        result = writer.node(
            "AveragePool", self.name, [writer.reals[self.sources[0]]], count_include_pad=int(self.count_padding),
            **window(inputs[0], kernel_shape=self.kernel, strides=self.strides), pads=pads(inputs[0], self.padding),
        )  # fmt: skip
        writer.quantized(self.name, writer.activation(self.name, result, y), y)


class MaxPool(Layer):
    """The maximum code of each window; scale and zero point unchanged."""

    def __init__(
        self,
        name: str,
        source: str,
        *,
        kernel: tuple[int, int],
        strides: tuple[int, int],
        padding: tuple[int, int],
        dilations: tuple[int, int],
    ) -> None:
        super().__init__(name, source)
        self.kernel, self.strides, self.padding, self.dilations = kernel, strides, padding, dilations

    def forward(self, inputs: Sequence[QuantizedTensor], step: Step) -> QuantizedTensor:
        (x,) = inputs
        return replace(x, centered=self.real([x.centered], step.owner))

    def real(self, inputs: Sequence[Tensor], owner: nn.Module) -> Tensor:
        (x,) = inputs
        y = F.max_pool2d(as_map(x), self.kernel, self.strides, self.padding, self.dilations)
        return y.squeeze(2) if x.ndim == 3 else y

    def write(
        self, writer: OnnxWriter, inputs: Sequence[QuantizedTensor], y: QuantizedTensor, owner: nn.Module
    ) -> None:
        result = writer.node(
            "MaxPool", self.name, [writer.reals[self.sources[0]]], pads=pads(inputs[0], self.padding),
            **window(inputs[0], kernel_shape=self.kernel, strides=self.strides, dilations=self.dilations),
        )  # fmt: skip
        writer.quantized(self.name, result, y)


def window(x: QuantizedTensor, **pairs: tuple[int, int]) -> dict[str, Any]:
    """Attributes of an ONNX window operator on `x`, with as many spatial axes."""
    return {name: pair[-(x.centered.ndim - 2) :] for name, pair in pairs.items()}


def pads(x: QuantizedTensor, padding: tuple[int, int]) -> tuple[int, ...]:
    """The attribute of the same name, of equal padding on both sides."""
    return padding[-(x.centered.ndim - 2) :] * 2
