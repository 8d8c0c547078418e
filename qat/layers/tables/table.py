"""`Table`: any function of one tensor, as one code for each code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from emulator import Arithmetic, make_table

from ...integers.chain import Chain, together
from ...integers.element_steps import Lookup
from ...integers.tensor import QuantizedTensor, as_int
from ...scales.settings import Settings
from ..computed import Computed
from ..expression import Expression
from ..layer import Requantized, Step
from ..onnx_writer import OnnxWriter
from .smooth_tables import smooth, smooth_slope, smooth_table
from .tflm_tables import free_table, tflm_operator


class Table(Requantized):
    """``table[x]`` with the table that `emulator.make_table` gives for the scales; the gradient is the function's own.

    Where the arithmetic is TFLM's and TFLM has a kernel for the function, the table is that kernel's.

    expression : the function
    """

    def __init__(
        self, name: str, source: str, *, arithmetic: Arithmetic, settings: Settings, expression: Expression
    ) -> None:
        super().__init__(name, source, arithmetic=arithmetic, settings=settings)
        self.expression = expression
        self.read = tuple(expression.computed())
        self.parameters_read = nn.ModuleList(self.read)
        self._made: tuple[tuple[object, ...], Tensor, Tensor, Tensor] | None = None
        self._pass: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]] | None = None

    def values(self, owner: nn.Module) -> dict[Computed, Tensor]:
        """The numbers of the function that the model's parameters give: scalars with their gradients."""
        return {number: number(owner).reshape(()) for number in self.read}

    def known(self, owner: nn.Module) -> Expression:
        """The function with the present values of these numbers."""
        return self.expression.at({number: value.item() for number, value in self.values(owner).items()})

    def forward(self, inputs: Sequence[QuantizedTensor], step: Step) -> QuantizedTensor:
        done = self.alone(inputs, step)
        if done is not None:
            return done
        (x,) = inputs
        y_scale = self.output.step_size(x.centered.shape, step.scales)
        limits = self.output.limits(self.clamp, y_scale)
        made = self.table(x, step.owner, y_scale.item(), *limits)
        table = (part.to(x.centered.device) for part in made)
        index = (x.centered.detach() + (x.zero_point - self.arithmetic.activation_range[0])).long()
        values, inside, finite = (part[index] for part in table)
        # An infinite slope times a gradient of 0 would be NaN.
        real = self.expression.real(torch.where(finite, x.real, x.real.detach()), self.values(step.owner))
        surrogate = torch.where(finite, real, 0) / y_scale
        result = self.quantized(values, inside, limits, surrogate, y_scale, real.detach, step)
        return replace(result, map_shape=x.map_shape)

    def chained(self, inputs: Sequence[QuantizedTensor], step: Step, chain: Chain) -> QuantizedTensor | None:
        (x,) = inputs
        if self.read or not together(x.centered):
            return None
        y_scale = self.output.step_size(x.centered.shape, step.scales)
        limits = self.output.limits(self.clamp, y_scale)
        if any(self.constants(*limits[1:])):
            return None
        self.table(x, step.owner, y_scale.item(), *limits)
        assert self._pass is not None
        # Where the table is clamped or not smooth, the gradient is 0.
        steps = x.scale.item(), y_scale.item()
        looked_up = Lookup(steps, self.arithmetic.activation_range[0] - x.zero_point, *self._pass)
        centered = chain.add(looked_up, (x.centered,), (x.scale, y_scale))
        found = self.tensor(centered, limits, y_scale, lambda: self.expression.real(x.real.detach()), step)
        return found if x.map_shape is None else replace(found, map_shape=x.map_shape)

    def table(
        self, x: QuantizedTensor, owner: nn.Module, y_scale: float, zero_point: int, y_min: int, y_max: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """For each code of `x`, smallest first: the result minus `zero_point`, float32; whether it is unclamped; and
        whether function and slope are finite there.
        """
        scales = (x.scale.item(), x.zero_point, y_scale, zero_point, y_min, y_max)
        key = (*scales, *(value.item() for value in self.values(owner).values()))
        if self._made is None or self._made[0] != key:
            expression = self.known(owner)
            fast = self.native is None and smooth(expression, y_scale)
            if fast:
                codes = smooth_table(expression, *scales, self.arithmetic)
            elif self.native is None:
                codes = make_table(expression.function(), *scales, self.arithmetic)
            else:
                codes = free_table(expression, *scales)
            low, high = self.arithmetic.activation_range
            with torch.inference_mode(False), torch.enable_grad():
                grid = ((torch.arange(low, high + 1) - x.zero_point) * x.scale.item()).requires_grad_(not fast)
                real = expression.real(grid)
                slope = smooth_slope(expression, real) if fast else torch.autograd.grad(real.sum(), grid)[0]
            free = (real.detach() / y_scale).round() + zero_point
            table, finite = torch.from_numpy(codes), real.isfinite() & slope.isfinite()
            inside = (free >= y_min) & (free <= y_max)
            slopes, reals = (torch.where(inside & finite, part, 0).numpy() for part in (slope, real.detach()))
            self._pass = (table - float(zero_point)).numpy(), slopes, reals
            self._made = key, (table - float(zero_point)), inside, finite
        return self._made[1:]

    @property
    def native(self) -> str | None:
        """The ONNX operator that the function is, if TFLM has a kernel for it and the arithmetic is TFLM's."""
        return tflm_operator(self.expression, self.arithmetic)

    def real(self, inputs: Sequence[Tensor], owner: nn.Module) -> Tensor:
        return self.clamped(self.expression.real(inputs[0], self.values(owner)))

    def write(
        self, writer: OnnxWriter, inputs: Sequence[QuantizedTensor], y: QuantizedTensor, owner: nn.Module
    ) -> None:
        centered, *_ = self.table(inputs[0], owner, y.scale.item(), y.zero_point, y.y_min, y.y_max)
        writer.tables[self.name] = as_int(centered + y.zero_point, np.int8)
        result = self.known(owner).write(writer, self.name, writer.reals[self.sources[0]])
        writer.quantized(self.name, writer.activation(self.name, result, y), y)
