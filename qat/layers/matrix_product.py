"""`MatrixProduct`: the product of two activations, head by head."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ..integers.activation_product import activation_product
from ..integers.tensor import QuantizedTensor
from .layer import Requantized, Step
from .onnx_writer import OnnxWriter


class MatrixProduct(Requantized):
    """a · b of (batch, …, M, K) and (batch, …, K, N): exact sums in the accumulator, then one rounding (section 9a).

    The axes between the batch and the matrices are heads, equally many in both or 1 in one of them.

    factor : a positive float32 that the result is multiplied with, as a part of the multiplier
    """

    factor = 1.0

    def forward(self, inputs: Sequence[QuantizedTensor], step: Step) -> QuantizedTensor:
        a, b = inputs
        self.check(b)
        sums, bound = activation_product(a, b, self.arithmetic, step.exact_products(a))
        both, factor = a.scale.item() * b.scale.item(), self.factor
        return self.requantized(
            sums, lambda y_scale: np.array(both / y_scale * factor), lambda: a.scale * b.scale * factor, bound, step
        )

    def check(self, b: QuantizedTensor) -> None:
        """Raise ``ValueError`` unless the codes of the second operand can be weights."""
        low, high = self.arithmetic.weight_range
        if b.y_min < low or b.y_max > high or not low <= b.zero_point <= high:
            raise ValueError(
                f"the codes of its second operand, {self.sources[1]!r}, are weights, which must be from {low} to "
                f"{high} (weight_bits = {self.arithmetic.weight_bits}), not from {b.y_min} to {b.y_max} with the zero "
                f"point {b.zero_point}: take an arithmetic whose weight_bits are its activation_bits"
            )

    def real(self, inputs: Sequence[Tensor], owner: nn.Module) -> Tensor:
        return self.clamped(torch.matmul(*inputs) * self.factor)

    def write(
        self, writer: OnnxWriter, inputs: Sequence[QuantizedTensor], y: QuantizedTensor, owner: nn.Module
    ) -> None:
        result = writer.node("MatMul", self.name, [writer.reals[source] for source in self.sources])
        if self.factor != 1:
            factor = writer.constant(f"{self.name}/factor", np.float32(self.factor))
            result = writer.node("Mul", f"{self.name}/times", [result, factor])
        writer.quantized(self.name, writer.activation(self.name, result, y), y)
