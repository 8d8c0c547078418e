"""`AddSource` and `ProductSource`: sum, difference and product of two tensors, element by element."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from emulator.graph import Add, Product, RescaledAdd, Tensor
from emulator.operators.requantization.multiplier import quantize_adder, quantize_multiplier, quantize_rescaled_adder

from ..graph_builder import GraphBuilder
from ..origin import Origin
from ..values import Source, Target


@dataclass(frozen=True, eq=False)
class AddSource(Source):
    """a + b, or a − b."""

    operator: Origin
    a: Tensor
    b: Tensor
    subtract: bool = False

    def emit(self, builder: GraphBuilder, name: str, target: Target) -> Tensor:
        """Append the `Add`: two multipliers, one shared shift, one rounding; or the arithmetic's `RescaledAdd`."""
        scales = self.a.scale, self.b.scale, target.scale
        fields: dict[str, Any] = {
            "name": name,
            "shape": np.broadcast_shapes(self.a.shape, self.b.shape),
            **vars(target),
            "inputs": (self.a.name, self.b.name),
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
        return builder.ordered_as(builder.add(node), self.a)


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
