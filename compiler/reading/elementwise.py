"""`AddSource` and `ProductSource`: sum, difference and product of two tensors, element by element."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emulator.graph import Add, Product, Tensor
from emulator.multiplier import quantize_adder, quantize_multiplier

from .graph_builder import GraphBuilder
from .origin import Origin
from .values import Source, Target


@dataclass(frozen=True, eq=False)
class AddSource(Source):
    """a + b, or a − b."""

    operator: Origin
    a: Tensor
    b: Tensor
    subtract: bool = False

    def emit(self, builder: GraphBuilder, name: str, target: Target) -> Tensor:
        """Append the `Add`: two multipliers, one shared shift, one rounding."""
        multipliers = quantize_adder(self.a.scale, self.b.scale, target.scale, builder.arithmetic)
        node = Add(
            name=name,
            shape=np.broadcast_shapes(self.a.shape, self.b.shape),
            **vars(target),
            inputs=(self.a.name, self.b.name),
            a_multiplier=multipliers[0],
            b_multiplier=multipliers[1],
            shift=multipliers[2],
            subtract=self.subtract,
        )
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
