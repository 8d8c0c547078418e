"""Average and maximum pools of maps, and of sequences, which are maps of height 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from emulator import Arithmetic, average_pool_scales

from ..integers.geometry import Window
from ..integers.tensor import QuantizedTensor, as_map
from ..scales.settings import Settings
from .layer import Layer, Requantized, Step
from .onnx_writer import OnnxWriter


class AveragePool(Requantized):
    """Exact window sum, then requantization with a multiplier per position.

    size : (height, width) of the map; window : without dilation; count_padding : whether the mean counts padding
    """

    def __init__(
        self,
        name: str,
        source: str,
        *,
        arithmetic: Arithmetic,
        settings: Settings,
        size: tuple[int, int],
        window: Window,
        count_padding: bool,
    ) -> None:
        super().__init__(name, source, arithmetic=arithmetic, settings=settings)
        self.size, self.window, self.count_padding = size, window, count_padding

    def forward(self, inputs: Sequence[QuantizedTensor], step: Step) -> QuantizedTensor:
        (x,) = inputs
        window = self.window
        bound = window.area * max(map(abs, x.extremes))
        if bound >= 1 << (self.arithmetic.operand_bits - 1):
            raise ValueError(f"kernel must keep the sum in {self.arithmetic.operand_bits} bits, not be {window.kernel}")
        # max(P, 24) bits always fit float32's exact integers up to P = 24, and float64's beyond.
        number = torch.float32 if bound <= 1 << 24 else torch.float64
        acc = self.sums(as_map(x.centered).to(number))
        counts = self.counts().to(acc.device)
        sequence = x.centered.ndim == 3

        def scales(y_scale: float) -> NDArray[np.float64]:
            windows = self.size, window.kernel, window.strides, window.padding * 2
            found = average_pool_scales(x.scale.item(), y_scale, *windows, count_padding=self.count_padding)
            return found[0] if sequence else found

        if sequence:
            acc, counts = acc.squeeze(2), counts[0]
        return self.requantized(acc, scales, x.scale / counts, bound, step)

    def counts(self) -> Tensor:
        """Positions that count, per window; (OH, OW) float32."""
        summed = self.sums(torch.ones(1, 1, *self.size))[0, 0]
        return torch.full_like(summed, self.window.area) if self.count_padding else summed

    def sums(self, x: Tensor) -> Tensor:
        """The sum over each window of the map `x`."""
        window = self.window
        return F.avg_pool2d(x, window.kernel, window.strides, window.padding, divisor_override=1)

    def real(self, inputs: Sequence[Tensor], owner: nn.Module) -> Tensor:
        (x,) = inputs
        kernel, strides, padding = self.window.kernel, self.window.strides, self.window.padding
        y = F.avg_pool2d(as_map(x), kernel, strides, padding, count_include_pad=self.count_padding)
        return self.clamped(y.squeeze(2) if x.ndim == 3 else y)

    def write(
        self, writer: OnnxWriter, inputs: Sequence[QuantizedTensor], y: QuantizedTensor, owner: nn.Module
    ) -> None:
        result = writer.node(
            "AveragePool", self.name, [writer.reals[self.sources[0]]], count_include_pad=int(self.count_padding),
            **self.window.attributes(inputs[0].centered.ndim - 2),
        )  # fmt: skip
        writer.quantized(self.name, writer.activation(self.name, result, y), y)


class MaxPool(Layer):
    """The maximum code of each window; scale and zero point unchanged."""

    def __init__(self, name: str, source: str, window: Window) -> None:
        super().__init__(name, source)
        self.window = window

    def forward(self, inputs: Sequence[QuantizedTensor], step: Step) -> QuantizedTensor:
        (x,) = inputs
        return replace(x, centered=self.real([x.centered], step.owner))

    def real(self, inputs: Sequence[Tensor], owner: nn.Module) -> Tensor:
        (x,) = inputs
        window = self.window
        y = F.max_pool2d(as_map(x), window.kernel, window.strides, window.padding, window.dilations)
        return y.squeeze(2) if x.ndim == 3 else y

    def write(
        self, writer: OnnxWriter, inputs: Sequence[QuantizedTensor], y: QuantizedTensor, owner: nn.Module
    ) -> None:
        result = writer.node(
            "MaxPool", self.name, [writer.reals[self.sources[0]]], **self.window.attributes(inputs[0].centered.ndim - 2)
        )
        writer.quantized(self.name, result, y)
