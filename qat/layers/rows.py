"""Layers by rows: softmax, layer norm and RMS norm over the last axis, in the contract's integers (section 15)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from emulator import Arithmetic
from emulator.operators.row_operators import make_normalization, make_softmax

from ..integers.row_operators.normalize import layer_norm, rms_norm
from ..integers.row_operators.softmax import real_softmax, softmax
from ..integers.tensor import QuantizedTensor
from ..scales.settings import Settings
from .computed import Computed, value_of
from .layer import Requantized, Step
from .onnx_writer import OnnxWriter

Parameter = str | Computed | None


class Softmax(Requantized):
    """Softmax of every row; the gradient is the real one's, of the dequantized codes.

    visible : bool, where an element counts, of a shape that broadcasts to a sample's; None: all count
    """

    visible: Tensor | None

    def __init__(
        self, name: str, source: str, *, arithmetic: Arithmetic, settings: Settings, visible: Tensor | None = None
    ) -> None:
        super().__init__(name, source, arithmetic=arithmetic, settings=settings)
        self.register_buffer("visible", visible, persistent=False)

    def forward(self, inputs: Sequence[QuantizedTensor], step: Step) -> QuantizedTensor:
        (x,) = inputs
        y_scale = self.output.step_size(x.centered.shape, step.scales)
        limits = self.output.limits(self.clamp, y_scale)
        parameters = make_softmax(x.scale.item(), y_scale.item(), *limits, self.arithmetic)
        values, inside = softmax(x.centered, parameters, self.arithmetic, self.visible)
        real = real_softmax(x.real, self.visible)
        result = self.quantized(values, inside, limits, real / y_scale, y_scale, real.detach, step)
        return replace(result, map_shape=x.map_shape)

    def real(self, inputs: Sequence[Tensor], owner: nn.Module) -> Tensor:
        return self.clamped(real_softmax(inputs[0], self.visible))

    def write(
        self, writer: OnnxWriter, inputs: Sequence[QuantizedTensor], y: QuantizedTensor, owner: nn.Module
    ) -> None:
        scores = writer.reals[self.sources[0]]
        if self.visible is not None:
            visible = writer.constant(f"{self.name}/visible", self.visible.cpu().numpy()[None])
            hidden = writer.constant(f"{self.name}/hidden", np.finfo(np.float32).min)
            scores = writer.node("Where", f"{self.name}/masked", [visible, scores, hidden])
        result = writer.node("Softmax", self.name, [scores], axis=-1)
        writer.quantized(self.name, writer.activation(self.name, result, y), y)


class Norm(Requantized):
    """γ · (v − mean) / √(var + ε) + β of every row, or without `centered` γ · v / √(mean of v² + ε).

    length : N, of a row
    gamma, beta : parameters of the float model, or what its code makes of them, (N,) or (1, …, N); None: 1 and 0. Their
        integers are made in each pass, with straight-through gradients.
    epsilon : as float32, which a file holds
    """

    def __init__(
        self,
        name: str,
        source: str,
        *,
        arithmetic: Arithmetic,
        settings: Settings,
        length: int,
        gamma: Parameter,
        beta: Parameter,
        epsilon: float,
        centered: bool,
    ) -> None:
        super().__init__(name, source, arithmetic=arithmetic, settings=settings)
        self.length, self.epsilon, self.centered = length, float(np.float32(epsilon)), centered
        self.gamma, self.beta = gamma, beta

    def affine(self, owner: nn.Module) -> tuple[Tensor | None, Tensor | None]:
        """γ and β, float32 (N,) with their gradients."""
        gamma, beta = (
            None if part is None else value_of(owner, part).float().reshape(self.length)
            for part in (self.gamma, self.beta)
        )
        return gamma, beta

    def forward(self, inputs: Sequence[QuantizedTensor], step: Step) -> QuantizedTensor:
        (x,) = inputs
        y_scale = self.output.step_size(x.centered.shape, step.scales)
        limits = self.output.limits(self.clamp, y_scale)
        affine = self.affine(step.owner)
        scales = x.scale.item(), x.zero_point, y_scale.item(), *limits
        gamma, beta = (None if part is None else as_floats(part) for part in affine)
        parameters = make_normalization(self.length, *scales, self.arithmetic, gamma, beta, self.epsilon)
        values, inside = (layer_norm if self.centered else rms_norm)(x.centered, parameters, self.arithmetic)
        real = self.function(x.real, *affine)
        return self.quantized(values, inside, limits, real / y_scale, y_scale, real.detach, step)

    def function(self, x: Tensor, gamma: Tensor | None, beta: Tensor | None) -> Tensor:
        """In floats; a constant row without ε gives β, without gradient, as the integers do."""
        centered = x - x.mean(-1, keepdim=True) if self.centered else x
        spread = (centered * centered).mean(-1, keepdim=True) + self.epsilon
        result = centered * torch.where(spread > 0, spread, 1).rsqrt()
        result = result if gamma is None else result * gamma
        return result if beta is None else result + beta

    def real(self, inputs: Sequence[Tensor], owner: nn.Module) -> Tensor:
        return self.clamped(self.function(inputs[0], *self.affine(owner)))

    def write(
        self, writer: OnnxWriter, inputs: Sequence[QuantizedTensor], y: QuantizedTensor, owner: nn.Module
    ) -> None:
        source, (gamma, beta) = writer.reals[self.sources[0]], self.affine(owner)
        one = np.ones(self.length, np.float32)
        scale = writer.constant(f"{self.name}/gamma", one if gamma is None else as_floats(gamma))
        bias = None if beta is None else writer.constant(f"{self.name}/beta", as_floats(beta))
        if self.centered:
            operands = [source, scale, *([] if bias is None else [bias])]
            result = writer.node("LayerNormalization", self.name, operands, axis=-1, epsilon=self.epsilon)
        else:
            result = self.steps(writer, source, scale)
            result = result if bias is None else writer.node("Add", f"{self.name}/shifted", [result, bias])
        writer.quantized(self.name, writer.activation(self.name, result, y), y)

    def steps(self, writer: OnnxWriter, source: str, scale: str) -> str:
        """An RMS norm in operators that every operator set has."""
        axes = writer.constant(f"{self.name}/axes", np.array([-1]))
        epsilon = writer.constant(f"{self.name}/epsilon", np.float32(self.epsilon))
        squares = writer.node("Mul", f"{self.name}/squares", [source, source])
        mean = writer.node("ReduceMean", f"{self.name}/mean", [squares, axes], keepdims=1)
        root = writer.node("Sqrt", f"{self.name}/root", [writer.node("Add", f"{self.name}/spread", [mean, epsilon])])
        ratio = writer.node("Div", f"{self.name}/ratio", [source, root])
        return writer.node("Mul", self.name, [ratio, scale])


def as_floats(values: Tensor) -> NDArray[np.float32]:
    """As an array, without gradient."""
    array: NDArray[np.float32] = values.detach().cpu().numpy()
    return array
