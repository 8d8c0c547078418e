"""Average and maximum pools."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emulator import Arithmetic, average_pool_scales

from ..onnx_writer import OnnxWriter
from ..tensor import QuantizedTensor
from .layer import Layer, Requantized, Step


class AveragePool(Requantized):
    """Exact window sum, then requantization with a multiplier per position."""

    def __init__(
        self,
        name: str,
        source: str,
        *,
        arithmetic: Arithmetic,
        learned: bool,
        size: tuple[int, int],
        kernel: tuple[int, int],
        strides: tuple[int, int],
        padding: tuple[int, int],
        count_padding: bool,
    ) -> None:
        super().__init__(name, source, arithmetic=arithmetic, learned=learned)
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
        acc = F.avg_pool2d(x.centered.to(number), self.kernel, self.strides, self.padding, divisor_override=1)
        counts = self.counts().to(acc.device)
        scales = average_pool_scales(
            x.scale.item(), self.output.scale().item(), self.size, self.kernel, self.strides,
            self.padding * 2, count_padding=self.count_padding,
        )  # fmt: skip
        return self.requantized(acc, scales, x.scale / counts, bound, step)

    def counts(self) -> Tensor:
        """Positions that count, per window; (OH, OW) float32."""
        ones = torch.ones(1, 1, *self.size)
        area = self.kernel[0] * self.kernel[1]
        summed = F.avg_pool2d(ones, self.kernel, self.strides, self.padding, divisor_override=1)[0, 0]
        return torch.full_like(summed, area) if self.count_padding else summed

    def real(self, inputs: Sequence[Tensor], owner: nn.Module) -> Tensor:
        return self.clamped(
            F.avg_pool2d(inputs[0], self.kernel, self.strides, self.padding, count_include_pad=self.count_padding)
        )

    def write(
        self, writer: OnnxWriter, inputs: Sequence[QuantizedTensor], y: QuantizedTensor, owner: nn.Module
    ) -> None:
        result = writer.node(
            "AveragePool", self.name, [writer.reals[self.sources[0]]], kernel_shape=self.kernel, strides=self.strides,
            pads=self.padding * 2, count_include_pad=int(self.count_padding),
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
        return F.max_pool2d(inputs[0], self.kernel, self.strides, self.padding, self.dilations)

    def write(
        self, writer: OnnxWriter, inputs: Sequence[QuantizedTensor], y: QuantizedTensor, owner: nn.Module
    ) -> None:
        result = writer.node(
            "MaxPool", self.name, [writer.reals[self.sources[0]]], kernel_shape=self.kernel, strides=self.strides,
            pads=self.padding * 2, dilations=self.dilations,
        )  # fmt: skip
        writer.quantized(self.name, result, y)
