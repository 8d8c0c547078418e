"""`MatrixProduct`: the product of two activations, head by head."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from emulator.operators.matrix_product import matrix_product

from ..integers.activation_product import activation_product, largest_sum
from ..integers.tensor import QuantizedTensor
from ..scales.quantizers import ActivationQuantizer
from .layer import Layer, Requantized, Step
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

    def overflows(self, a: QuantizedTensor, b: QuantizedTensor) -> NDArray[np.int64]:
        """Sums that overflowed, per column (N,)."""
        if largest_sum(a, b) <= self.arithmetic.accumulator_range[1]:
            return np.zeros(b.centered.shape[-1], np.int64)
        left, right = (np.ascontiguousarray(x.codes.cpu().numpy()) for x in (a, b))
        _, flags = matrix_product(left, right, self.arithmetic, a.zero_point, b.zero_point)
        counts: NDArray[np.int64] = flags.sum(tuple(range(flags.ndim - 1)), dtype=np.int64)
        return counts

    def check(self, b: QuantizedTensor) -> None:
        """Raise ``ValueError`` unless the codes of the second operand can be weights."""
        low, high = self.arithmetic.weight_range
        if b.y_min < low or b.y_max > high or not low <= b.zero_point <= high:
            raise ValueError(
                f"the codes of its second operand are weights, which must be from {low} to {high}, not from {b.y_min} "
                f"to {b.y_max} with the zero point {b.zero_point}: prepare the model with fewer activation_bits there"
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


def check_second_operands(layers: Iterable[Layer], activations: Mapping[str, ActivationQuantizer]) -> None:
    """Raise ``ValueError`` naming a product whose second operand has more bits than weights have.

    layers : those of a prepared model; activations : its quantizers by the names of inputs and layers
    """
    behind = {layer.name: layer for layer in layers}
    for layer in behind.values():
        if not isinstance(layer, MatrixProduct):
            continue
        waiting, most = [layer.sources[1]], layer.arithmetic.weight_bits
        while waiting:
            name = waiting.pop()
            if name not in activations:
                waiting.extend(behind[name].sources)
            elif activations[name].bits > most:
                raise ValueError(
                    f"layer {layer.name!r}: the codes of its second operand, those of {name!r}, are weights and must "
                    f"have at most weight_bits = {most} bits, not {activations[name].bits}: give the settings "
                    f'{{{name!r}: {{"activation_bits": {most}}}}}, or multiply from the other side'
                )
