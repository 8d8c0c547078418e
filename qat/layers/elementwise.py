"""`Add` and `Product`: two tensors, element by element."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from emulator import Arithmetic, quantize_adder, quantize_multiplier, quantize_rescaled_adder
from emulator.operators.requantization.multiplier import RESCALED_BITS

from ..integers import element_steps as elements
from ..integers.chain import Chain, together
from ..integers.element_steps import Range, Sum
from ..integers.requantize import exact, requantize, rescaled_sum
from ..integers.tensor import QuantizedTensor
from ..scales.settings import Settings
from .layer import Requantized, Step, advised
from .onnx_writer import OnnxWriter


class Add(Requantized):
    """a + b, or a − b with `subtract`: the exact weighted sum of the codes, then one rounding (contract, section 4).

    Where the arithmetic's adder is ``rescaled``, both operands and their sum are rounded (section 11).
    """

    def __init__(
        self, name: str, a: str, b: str, *, arithmetic: Arithmetic, settings: Settings, subtract: bool = False
    ) -> None:
        super().__init__(name, a, b, arithmetic=arithmetic, settings=settings)
        self.subtract = subtract

    def forward(self, inputs: Sequence[QuantizedTensor], step: Step) -> QuantizedTensor:
        made = self.alone(inputs, step)
        if made is not None:
            return made
        a, b = inputs
        y_scale, limits = self.result(a, b, step)
        (zero_point, y_min, y_max), scales = limits, (a.scale.item(), b.scale.item(), y_scale.item())
        with advised(np.array(scales)):
            terms, *factors, bound = (self.rescaled if self.arithmetic.adder == "rescaled" else self.shared)(
                a, b, *scales
            )
        multiplier, shift = (torch.tensor(value, device=terms.device) for value in factors)
        values, inside = requantize(terms, multiplier, shift, zero_point, y_min, y_max, self.arithmetic, bound)
        real = self.combined(a.real, b.real)
        result = self.quantized(values, inside, limits, real / y_scale, y_scale, real.detach, step)
        return ordered(result, a, b)

    def result(self, a: QuantizedTensor, b: QuantizedTensor, step: Step) -> tuple[Tensor, tuple[int, int, int]]:
        """The scale of the sum, and its zero point and clamp."""
        y_scale = self.output.step_size(np.broadcast_shapes(a.centered.shape, b.centered.shape), step.scales)
        larger = max(a.scale.item(), b.scale.item())
        y_scale = self.reached(y_scale, lambda y: np.array(larger / y), self.arithmetic.adder_multiplier_bits)
        return y_scale, self.output.limits(self.clamp, y_scale)

    def chained(self, inputs: Sequence[QuantizedTensor], step: Step, chain: Chain) -> QuantizedTensor | None:
        a, b = inputs
        if self.arithmetic.adder == "rescaled" or not together(a.centered, b.centered):
            return None
        y_scale, limits = self.result(a, b, step)
        zero_point, *ends = limits
        if any(self.constants(*ends)):
            return None
        scales = a.scale.item(), b.scale.item(), y_scale.item()
        with advised(np.array(scales)):
            a_factor, b_factor, places = quantize_adder(*scales, self.arithmetic)
        factors = a_factor, -b_factor if self.subtract else b_factor
        added = Sum(scales, factors, places, Range(ends[0] - zero_point, ends[1] - zero_point, self.arithmetic))
        centered = chain.add(added, (a.centered, b.centered), (a.scale, b.scale, y_scale))
        result = self.tensor(centered, limits, y_scale, lambda: self.combined(a.real.detach(), b.real.detach()), step)
        return ordered(result, a, b)

    def shared(
        self, a: QuantizedTensor, b: QuantizedTensor, a_scale: float, b_scale: float, y_scale: float
    ) -> tuple[Tensor, int, int, int]:
        """(weighted sum, 1, shift, a bound of the sum's magnitude)."""
        a_multiplier, b_multiplier, shift = quantize_adder(a_scale, b_scale, y_scale, self.arithmetic)
        # 9 bits times at most 31, twice: float64 is exact.
        terms = (a.centered.detach().double() * a_multiplier).add(
            b.centered.detach().double(), alpha=-b_multiplier if self.subtract else b_multiplier
        )
        bound = a_multiplier * max(map(abs, a.extremes)) + b_multiplier * max(map(abs, b.extremes))
        return terms, 1, shift, bound

    def rescaled(
        self, a: QuantizedTensor, b: QuantizedTensor, a_scale: float, b_scale: float, y_scale: float
    ) -> tuple[Tensor, int, int, int]:
        """(sum of the rounded operands, its multiplier and shift, a bound of the sum's magnitude)."""
        factors = quantize_rescaled_adder(a_scale, b_scale, y_scale, self.arithmetic)
        operands = a.centered, b.centered, factors[:2], factors[2:4]
        terms = rescaled_sum(*operands, self.arithmetic, self.subtract)
        bound = sum(max(map(abs, x.extremes)) << (RESCALED_BITS - 1) for x in (a, b))  # no multiplier is beyond ½
        return terms, *factors[4:], bound

    def combined(self, a: Tensor, b: Tensor) -> Tensor:
        """The sum or the difference."""
        return a - b if self.subtract else a + b

    def real(self, inputs: Sequence[Tensor], owner: nn.Module) -> Tensor:
        return self.clamped(self.combined(*inputs))

    def write(
        self, writer: OnnxWriter, inputs: Sequence[QuantizedTensor], y: QuantizedTensor, owner: nn.Module
    ) -> None:
        reals = [writer.reals[source] for source in self.sources]
        result = writer.node("Sub" if self.subtract else "Add", self.name, reals)
        writer.quantized(self.name, writer.activation(self.name, result, y), y)


class Product(Requantized):
    """a · b: the exact product of the codes, then one rounding."""

    def forward(self, inputs: Sequence[QuantizedTensor], step: Step) -> QuantizedTensor:
        made = self.alone(inputs, step)
        if made is not None:
            return made
        a, b = inputs
        bound = max(map(abs, a.extremes)) * max(map(abs, b.extremes))
        both = a.scale.item() * b.scale.item()
        result = self.requantized(
            a.centered * b.centered, lambda y_scale: np.array(both / y_scale), lambda: a.scale * b.scale, bound, step
        )
        return ordered(result, a, b)

    def chained(self, inputs: Sequence[QuantizedTensor], step: Step, chain: Chain) -> QuantizedTensor | None:
        a, b = inputs
        bound, both = max(map(abs, a.extremes)) * max(map(abs, b.extremes)), a.scale.item() * b.scale.item()
        if not together(a.centered, b.centered) or not exact(1 << self.arithmetic.multiplier_bits, bound):
            return None
        y_scale = self.output.step_size(a.centered.shape, step.scales)
        y_scale = self.reached(y_scale, lambda y: np.array(both / y), self.arithmetic.multiplier_bits)
        zero_point, *ends = limits = self.output.limits(self.clamp, y_scale)
        if any(self.constants(*ends)):
            return None
        scale = both / y_scale.item()
        with advised(np.array(scale)):
            factors = quantize_multiplier(scale, self.arithmetic)
        scales = a.scale.item(), b.scale.item(), y_scale.item()
        times = elements.Product(scales, *factors, Range(ends[0] - zero_point, ends[1] - zero_point, self.arithmetic))
        centered = chain.add(times, (a.centered, b.centered), (a.scale, b.scale, y_scale))

        def real() -> Tensor:
            return (a.centered * b.centered * (a.scale * b.scale)).detach()

        return ordered(self.tensor(centered, limits, y_scale, real, step), a, b)

    def real(self, inputs: Sequence[Tensor], owner: nn.Module) -> Tensor:
        return self.clamped(inputs[0] * inputs[1])

    def write(
        self, writer: OnnxWriter, inputs: Sequence[QuantizedTensor], y: QuantizedTensor, owner: nn.Module
    ) -> None:
        result = writer.node("Mul", self.name, [writer.reals[source] for source in self.sources])
        writer.quantized(self.name, writer.activation(self.name, result, y), y)


def ordered(y: QuantizedTensor, a: QuantizedTensor, b: QuantizedTensor) -> QuantizedTensor:
    """`y` in the order of the two."""
    order = common_order(a, b)
    return y if order is None else replace(y, map_shape=order)


def common_order(a: QuantizedTensor, b: QuantizedTensor) -> tuple[int, ...] | None:
    """The order of two flattened maps of one shape; others are brought to the logical order first."""
    return a.map_shape if a.map_shape == b.map_shape else None
