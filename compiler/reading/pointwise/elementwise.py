"""`AddSource` and `ProductSource`: sum, difference and product of two tensors, element by element."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from emulator.graph import Add, Product, RescaledAdd, Tensor
from emulator.multiplier import quantize_adder, quantize_multiplier, quantize_rescaled_adder

from ..graph_builder import GraphBuilder
from ..origin import Origin
from ..second_rounding import between
from ..values import Dequantized, Real, Source, Target


@dataclass(frozen=True, eq=False)
class AddSource(Source):
    """a + b, or a − b; one of them may be real numbers that nothing has rounded."""

    operator: Origin
    a: Tensor | Real
    b: Tensor | Real
    subtract: bool = False

    def emit(self, builder: GraphBuilder, name: str, target: Target) -> Tensor:
        """Append the `Add`: two multipliers, one shared shift, one rounding; or the arithmetic's `RescaledAdd`."""
        x, y = self._operands(builder, name, target)
        if len(x.shape) != len(y.shape) or any(
            m != n and 1 not in (m, n) for m, n in zip(x.shape, y.shape, strict=True)
        ):
            raise ValueError(f"the inputs must have shapes that broadcast, not {x.shape} and {y.shape} (stored)")
        scales = x.scale, y.scale, target.scale
        fields: dict[str, Any] = {
            "name": name,
            "shape": np.broadcast_shapes(x.shape, y.shape),
            **vars(target),
            "inputs": (x.name, y.name),
            "subtract": self.subtract,
        }
        node: Add | RescaledAdd
        if builder.arithmetic.adder == "rescaled":
            a, a_shift, b, b_shift, multiplier, shift = quantize_rescaled_adder(*scales, builder.arithmetic)
            fields |= {"a_shift": a_shift, "b_shift": b_shift, "multiplier": multiplier, "shift": shift}
            node = RescaledAdd(**fields, a_multiplier=a, b_multiplier=b)
        else:
            a, b, shift = quantize_adder(*scales, builder.arithmetic)
            node = Add(**fields, a_multiplier=a, b_multiplier=b, shift=shift)
        return builder.ordered_as(builder.add(node), x)

    def _operands(self, builder: GraphBuilder, name: str, target: Target) -> tuple[Tensor, Tensor]:
        """Both in codes; those of real numbers cover what the result's codes depend on."""
        ends = [target.scale * (code - target.zero_point) for code in (target.y_min, target.y_max)]
        if isinstance(self.a, Real) and isinstance(self.b, Tensor):
            low, high = Real(Dequantized(self.b)).range()
            wanted = (ends[0] + low, ends[1] + high) if self.subtract else (ends[0] - high, ends[1] - low)
            return self._between(builder, self.a, wanted, name), self.b
        if isinstance(self.b, Real) and isinstance(self.a, Tensor):
            low, high = Real(Dequantized(self.a)).range()
            wanted = (low - ends[1], high - ends[0]) if self.subtract else (ends[0] - high, ends[1] - low)
            return self.a, self._between(builder, self.b, wanted, name)
        if isinstance(self.a, Real) or isinstance(self.b, Real):
            raise ValueError(
                "reads two results that nothing has rounded; let a QuantizeLinear round one of them at least"
            )
        return self.a, self.b

    def _between(self, builder: GraphBuilder, real: Real, wanted: tuple[float, float], name: str) -> Tensor:
        low, high = real.range()
        bounds = min(max(wanted[0], low), high), min(max(wanted[1], low), high)
        return between(builder, real, bounds, self.operator, f"{name}/operand")


@dataclass(frozen=True, eq=False)
class ProductSource(Source):
    """a · b, element by element."""

    operator: Origin
    a: Tensor
    b: Tensor

    def emit(self, builder: GraphBuilder, name: str, target: Target) -> Tensor:
        """Append the `Product`."""
        multiplier, shift = quantize_multiplier(self.a.scale * self.b.scale / target.scale, builder.arithmetic)
        node = Product(
            name=name,
            shape=np.broadcast_shapes(self.a.shape, self.b.shape),
            **vars(target),
            inputs=(self.a.name, self.b.name),
            multiplier=multiplier,
            shift=shift,
        )
        return builder.ordered_as(builder.add(node), self.a)
