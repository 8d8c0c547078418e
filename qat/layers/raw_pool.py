"""`RawAveragePool`: TFLM's average pool, the mean of the raw codes, half away from zero (contract, section 11)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emulator import Arithmetic

from ..integers.geometry import Window
from ..integers.straight_through import straight_through
from ..integers.tensor import QuantizedTensor, as_map
from .layer import Layer, Step
from .onnx_writer import OnnxWriter
from .pools import beyond


class RawAveragePool(Layer):
    """The mean over the window's positions on the map; scale and zero point are the input's.

    window : without dilation
    """

    def __init__(self, name: str, source: str, *, arithmetic: Arithmetic, window: Window) -> None:
        super().__init__(name, source)
        self.arithmetic, self.window = arithmetic, window

    def forward(self, inputs: Sequence[QuantizedTensor], step: Step) -> QuantizedTensor:
        (x,) = inputs
        bits = self.arithmetic.operand_bits
        if self.window.area << (self.arithmetic.activation_bits - 1) >= 1 << (bits - 1):
            raise ValueError(f"kernel must keep the sum in {bits} bits, not be {self.window.kernel}")
        centered = as_map(x.centered)
        sums, counts = self.sums(centered.double()), self.counts(centered)
        total, n = (part.detach().long() for part in (sums, counts))
        total = total + n * x.zero_point
        magnitude = torch.div(2 * total.abs() + n, 2 * n, rounding_mode="floor")
        mean = torch.where(total < 0, -magnitude, magnitude) - x.zero_point
        y = straight_through((sums / counts).float(), mean.float())
        return replace(x, centered=y.squeeze(2) if x.centered.ndim == 3 else y, map_shape=None)

    def counts(self, x: Tensor) -> Tensor:
        """Positions of each window that lie on the map `x`; (1, 1, OH, OW) float64."""
        return self.sums(torch.ones_like(x[:1, :1], dtype=torch.float64))

    def sums(self, x: Tensor) -> Tensor:
        """The sum over each window of the map `x`."""
        window = self.window
        return F.avg_pool2d(beyond(x, window), window.kernel, window.strides, window.padding, divisor_override=1)

    def real(self, inputs: Sequence[Tensor], owner: nn.Module) -> Tensor:
        (x,) = inputs
        y = self.sums(as_map(x)) / self.counts(as_map(x)).float()
        return y.squeeze(2) if x.ndim == 3 else y

    def write(
        self, writer: OnnxWriter, inputs: Sequence[QuantizedTensor], y: QuantizedTensor, owner: nn.Module
    ) -> None:
        result = writer.node(
            "AveragePool", self.name, [writer.reals[self.sources[0]]], count_include_pad=0,
            **self.window.attributes(inputs[0].centered.ndim - 2),
        )  # fmt: skip
        writer.quantized(self.name, writer.activation(self.name, result, y), y)
