"""Average and maximum pools of maps, and of sequences, which are maps of height 1."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from emulator import Arithmetic
from emulator.checks import check_scale

from ..integers.geometry import Window
from ..integers.tensor import QuantizedTensor, as_map
from ..scales.settings import Settings
from .layer import Layer, Requantized, Step
from .onnx_writer import OnnxWriter


class AveragePool(Requantized):
    """Exact window sum, then requantization with a multiplier per position.

    size : (height, width) of the map; window : without dilation; count_padding : whether the mean counts padding, which
    it cannot where the window reaches beyond that
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
            found = pool_scales(x.scale.item(), y_scale, self.counts().numpy().astype(np.int64))
            return found[0] if sequence else found

        if sequence:
            acc, counts = acc.squeeze(2), counts[0]
        return self.requantized(acc, scales, lambda: x.scale / counts, bound, step)

    def counts(self) -> Tensor:
        """Positions that count, per window; (OH, OW) float32."""
        summed = self.sums(torch.ones(1, 1, *self.size))[0, 0]
        return torch.full_like(summed, self.window.area) if self.count_padding else summed

    def sums(self, x: Tensor) -> Tensor:
        """The sum over each window of the map `x`."""
        window = self.window
        return F.avg_pool2d(beyond(x, window), window.kernel, window.strides, window.padding, divisor_override=1)

    def real(self, inputs: Sequence[Tensor], owner: nn.Module) -> Tensor:
        (x,) = inputs
        y = self.sums(as_map(x)) / self.counts().to(x.device)
        return self.clamped(y.squeeze(2) if x.ndim == 3 else y)

    def write(
        self, writer: OnnxWriter, inputs: Sequence[QuantizedTensor], y: QuantizedTensor, owner: nn.Module
    ) -> None:
        result = writer.node(
            "AveragePool", self.name, [writer.reals[self.sources[0]]], count_include_pad=int(self.count_padding),
            **self.window.attributes(inputs[0].centered.ndim - 2),
        )  # fmt: skip
        writer.quantized(self.name, writer.activation(self.name, result, y), y)


def beyond(x: Tensor, window: Window, value: float = 0.0) -> Tensor:
    """The map `x` with what ceil_mode adds below it and to its right."""
    bottom, right = window.beyond
    return F.pad(x, (0, right, 0, bottom), value=value) if window.beyond != (0, 0) else x


def pool_scales(x_scale: float, y_scale: float, counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """The contract's real scale ``sx / (sy · n)`` of each position."""
    return np.asarray(float(check_scale("x_scale", x_scale)) / (float(check_scale("y_scale", y_scale)) * counts))


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
        x_map = beyond(as_map(x), window, -math.inf)
        y = F.max_pool2d(x_map, window.kernel, window.strides, window.padding, window.dilations)
        return y.squeeze(2) if x.ndim == 3 else y

    def write(
        self, writer: OnnxWriter, inputs: Sequence[QuantizedTensor], y: QuantizedTensor, owner: nn.Module
    ) -> None:
        result = writer.node(
            "MaxPool", self.name, [writer.reals[self.sources[0]]], **self.window.attributes(inputs[0].centered.ndim - 2)
        )
        writer.quantized(self.name, result, y)
