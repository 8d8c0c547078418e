"""Functions of which TFLM has a kernel of its own: their tables are its integers (contract, section 11)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from emulator import Arithmetic
from emulator.tflm import hard_swish_table, leaky_relu_table, logistic_table, tanh_table

from ...integers.straight_through import straight_through
from ...integers.tensor import QuantizedTensor
from ...scales.quantizers import NO_CLAMP, Clamp, quantized_bounds
from ..expression import Expression
from ..layer import Layer, Step
from ..onnx_writer import OnnxWriter

FIXED: dict[str, tuple[float, int, Callable[[float, int], NDArray[np.int8]]]] = {
    "Sigmoid": (1 / 256, -128, logistic_table),
    "Tanh": (1 / 128, 0, tanh_table),
}
"""{ONNX operator: the output's scale and zero point, which TFLM prescribes, and the table}."""
FREE = ("HardSwish", "LeakyRelu")
"""ONNX operators whose output has a scale of its own."""


def tflm_operator(expression: Expression, arithmetic: Arithmetic) -> str | None:
    """The ONNX operator that the function is, if TFLM has a kernel for it and the arithmetic is TFLM's."""
    if not arithmetic.is_tflm or expression.operator not in (*FIXED, *FREE):
        return None
    (x,) = expression.operands
    return expression.operator if isinstance(x, Expression) and x.is_x else None


def free_table(
    expression: Expression, x_scale: float, x_zero_point: int, y_scale: float, zero_point: int, y_min: int, y_max: int
) -> NDArray[np.int8]:
    """The codes of one of `FREE` for every code of x, smallest first, clamped to y_min … y_max."""
    scales = x_scale, x_zero_point, y_scale, zero_point
    if expression.operator == "HardSwish":
        codes = hard_swish_table(*scales)
    else:
        ((_, alpha),) = expression.attributes
        assert isinstance(alpha, float)
        codes = leaky_relu_table(*scales, float(alpha))
    return np.clip(codes, y_min, y_max).astype(np.int8)


class FixedTable(Layer):
    """Sigmoid or Tanh with the scale and the zero point that TFLM prescribes, and a clamp behind it.

    expression : the function, one of `FIXED`
    """

    def __init__(self, name: str, source: str, expression: Expression) -> None:
        super().__init__(name, source)
        self.expression = expression
        self.clamp: Clamp = NO_CLAMP

    def forward(self, inputs: Sequence[QuantizedTensor], step: Step) -> QuantizedTensor:
        (x,) = inputs
        scale, zero_point, _ = FIXED[self.expression.operator]
        y_scale = torch.tensor(scale, device=x.centered.device)
        y_min, y_max = quantized_bounds(self.clamp, y_scale, zero_point, -128, 127)
        table = torch.from_numpy(self.codes(x, y_min, y_max)).to(x.centered.device)
        values = table[(x.centered.detach() + (x.zero_point + 128)).long()].float() - zero_point
        surrogate = self.expression.real(x.real) / y_scale
        free = surrogate.detach().round() + zero_point
        centered = straight_through(surrogate, values, (free >= y_min) & (free <= y_max))
        return replace(x, centered=centered, scale=y_scale, zero_point=zero_point, y_min=y_min, y_max=y_max)

    @property
    def native(self) -> str:
        """The ONNX operator that the function is."""
        return self.expression.operator

    def codes(self, x: QuantizedTensor, y_min: int, y_max: int) -> NDArray[np.int8]:
        """The table for the codes of `x`, smallest first."""
        *_, table = FIXED[self.expression.operator]
        return np.clip(table(x.scale.item(), x.zero_point), y_min, y_max).astype(np.int8)

    def real(self, inputs: Sequence[Tensor], owner: nn.Module) -> Tensor:
        y = self.expression.real(inputs[0])
        return y if self.clamp == NO_CLAMP else y.clamp(*self.clamp)

    def write(
        self, writer: OnnxWriter, inputs: Sequence[QuantizedTensor], y: QuantizedTensor, owner: nn.Module
    ) -> None:
        writer.tables[self.name] = self.codes(inputs[0], y.y_min, y.y_max)
        result = self.expression.write(writer, self.name, writer.reals[self.sources[0]])
        writer.quantized(self.name, writer.activation(self.name, result, y), y)
