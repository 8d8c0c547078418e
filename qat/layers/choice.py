"""Layers that choose between codes: kept or replaced by zero, negated so that a maximum is a minimum, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from emulator import Arithmetic

from ..integers.tensor import QuantizedTensor
from ..scales.quantizers import ActivationQuantizer
from ..scales.settings import LayerSettings, Settings
from .elementwise import common_order
from .expression import Expression
from .layer import Layer, Step
from .onnx_writer import OnnxWriter
from .tables.table import Table


class UnitQuantizer(ActivationQuantizer):
    """Of a tensor of zeros and ones: its codes are these, whatever is observed."""

    def __init__(self, settings: LayerSettings, arithmetic: Arithmetic) -> None:
        super().__init__(replace(settings, scale="free", activation_bits=None), arithmetic)

    @torch.no_grad()
    def span(self) -> None:
        self.scale.set(torch.ones(()))
        self.zero_point.zero_()

    @torch.no_grad()
    def follow(self, x: Tensor) -> None:
        """What comes later does not move it."""


class Condition(Table):
    """A table of zeros and ones, codes with the scale 1."""

    def __init__(
        self, name: str, source: str, *, arithmetic: Arithmetic, settings: Settings, expression: Expression
    ) -> None:
        super().__init__(name, source, arithmetic=arithmetic, settings=settings, expression=expression)
        self.output = UnitQuantizer(settings.of(name), arithmetic)


class Gate(Layer):
    """a where the condition b is 1, and 0 elsewhere: a product that rounds nothing, in the codes of a."""

    def forward(self, inputs: Sequence[QuantizedTensor], step: Step) -> QuantizedTensor:
        a, b = inputs
        y_min, y_max = min(a.y_min, a.zero_point), max(a.y_max, a.zero_point)
        centered = a.centered * b.centered.detach()
        return replace(a, centered=centered, y_min=y_min, y_max=y_max, map_shape=common_order(a, b))

    def real(self, inputs: Sequence[Tensor], owner: nn.Module) -> Tensor:
        return inputs[0] * inputs[1]

    def write(
        self, writer: OnnxWriter, inputs: Sequence[QuantizedTensor], y: QuantizedTensor, owner: nn.Module
    ) -> None:
        result = writer.node("Mul", self.name, [writer.reals[source] for source in self.sources])
        writer.quantized(self.name, writer.activation(self.name, result, y), y)


class Negation(Layer):
    """−x without rounding: each code becomes −1 − code, and so does the zero point."""

    def forward(self, inputs: Sequence[QuantizedTensor], step: Step) -> QuantizedTensor:
        (x,) = inputs
        return replace(x, centered=-x.centered, zero_point=-1 - x.zero_point, y_min=-1 - x.y_max, y_max=-1 - x.y_min)

    def real(self, inputs: Sequence[Tensor], owner: nn.Module) -> Tensor:
        return -inputs[0]

    def write(
        self, writer: OnnxWriter, inputs: Sequence[QuantizedTensor], y: QuantizedTensor, owner: nn.Module
    ) -> None:
        result = writer.node("Neg", self.name, [writer.reals[self.sources[0]]])
        writer.quantized(self.name, writer.activation(self.name, result, y), y)


class Joined(Layer):
    """Tensors that have one scale and zero point one after the other, so that nothing is rounded.

    axis : not the batch's
    """

    def __init__(self, name: str, *sources: str, axis: int) -> None:
        super().__init__(name, *sources)
        self.axis = axis

    def forward(self, inputs: Sequence[QuantizedTensor], step: Step) -> QuantizedTensor:
        assert len({(x.scale.item(), x.zero_point) for x in inputs}) == 1
        y_min, y_max = min(x.y_min for x in inputs), max(x.y_max for x in inputs)
        centered = torch.cat([x.centered for x in inputs], self.axis)
        return replace(inputs[0], centered=centered, y_min=y_min, y_max=y_max, map_shape=None)

    def real(self, inputs: Sequence[Tensor], owner: nn.Module) -> Tensor:
        return torch.cat(list(inputs), self.axis)

    def write(
        self, writer: OnnxWriter, inputs: Sequence[QuantizedTensor], y: QuantizedTensor, owner: nn.Module
    ) -> None:
        result = writer.node("Concat", self.name, [writer.reals[source] for source in self.sources], axis=self.axis)
        writer.quantized(self.name, writer.activation(self.name, result, y), y)
