"""`Concat`: tensors one after the other."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from emulator import Arithmetic

from ..integers.requantize import requantize
from ..integers.tensor import QuantizedTensor
from ..scales.settings import Settings
from .layer import Requantized, Step
from .onnx_writer import OnnxWriter


class Concat(Requantized):
    """Each part brought to the scale and zero point of the whole, with one rounding.

    axis : not the batch's
    """

    def __init__(self, name: str, *sources: str, arithmetic: Arithmetic, settings: Settings, axis: int) -> None:
        super().__init__(name, *sources, arithmetic=arithmetic, settings=settings)
        self.axis = axis

    def forward(self, inputs: Sequence[QuantizedTensor], step: Step) -> QuantizedTensor:
        y_scale = self.output.step_size((1, sum(math.prod(x.centered.shape[1:]) for x in inputs)), step.scales)
        largest = max(x.scale.item() for x in inputs)
        y_scale = self.reached(y_scale, lambda y: np.array(largest / y), self.arithmetic.multiplier_bits)
        zero_point, y_min, y_max = limits = self.output.limits(self.clamp, y_scale)
        values, inside = [], []
        for x in inputs:
            scale = np.array(x.scale.item() / y_scale.item())
            multiplier, shift = (torch.from_numpy(part).to(x.centered.device) for part in self.multipliers(scale))
            bound = max(map(abs, x.extremes))
            made = requantize(x.centered.detach(), multiplier, shift, zero_point, y_min, y_max, self.arithmetic, bound)
            values.append(made[0])
            inside.append(made[1])
        surrogate = torch.cat([x.centered * (x.scale / y_scale) for x in inputs], self.axis)
        return self.quantized(
            torch.cat(values, self.axis), torch.cat(inside, self.axis), limits, surrogate, y_scale,
            lambda: torch.cat([x.real.detach() for x in inputs], self.axis), step,
        )  # fmt: skip

    def real(self, inputs: Sequence[Tensor], owner: nn.Module) -> Tensor:
        return self.clamped(torch.cat(list(inputs), self.axis))

    def write(
        self, writer: OnnxWriter, inputs: Sequence[QuantizedTensor], y: QuantizedTensor, owner: nn.Module
    ) -> None:
        result = writer.node("Concat", self.name, [writer.reals[source] for source in self.sources], axis=self.axis)
        writer.quantized(self.name, writer.activation(self.name, result, y), y)
