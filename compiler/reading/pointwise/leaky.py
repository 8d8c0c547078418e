"""`LeakySource`: x where it is at least 0 and slope · x below, with one rounding: both are rounded, and one is 0."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emulator.graph import Tensor

from ..graph_builder import GraphBuilder
from ..origin import Origin
from ..products.affine import affine
from ..products.weighted import Reals, WeightedSource
from ..rounding import rounded
from ..values import Dequantized, Real, Source, Target
from .elementwise import AddSource
from .pairs import larger


@dataclass(frozen=True, eq=False)
class LeakySource(Source):
    """max(x, 0) + slope · min(x, 0) of a quantized tensor, or of a layer's sums.

    slopes : float64; of sums one per channel, of a tensor what broadcasts to its logical shape
    """

    operator: Origin
    x: Tensor | WeightedSource
    slopes: Reals

    def emit(self, builder: GraphBuilder, name: str, target: Target) -> Tensor:
        """Add NAME/positive and NAME/negative, and what puts them together: their sum, or the larger one.

        Of the two one is the code of 0, so the sum of the codes is exact. With a negative slope both are larger than 0
        on one side: then, and if no slope is above 1, the result is the larger one of x and slope · x.
        """
        low, high = builder.arithmetic.activation_range
        if not (self.slopes >= 0).all() and (self.slopes > 1).any():
            raise ValueError("slopes must be at least 0, or none of them above 1")
        added, zero = bool((self.slopes >= 0).all()), target.zero_point
        ends = ((zero, high), (low, zero)) if added else ((low, high), (low, high))
        targets = [Target(target.scale, zero, *each) for each in ends]
        labels = [builder.unique(f"{name}/{part}") for part in ("positive", "negative")]
        if isinstance(self.x, WeightedSource):
            plain = self.x.emit(builder, labels[0], targets[0])
            sloped = self.x.with_affine(self.slopes, 0.0).emit(builder, labels[1], targets[1])
            builder.bias_errors[name] = max(builder.bias_errors[label] for label in labels)
        else:
            plain = rounded(builder, Real(Dequantized(self.x)), labels[0], self.operator, targets[0])
            product = affine(builder, self.operator, self.x, self.slopes, np.zeros(1))
            sloped = rounded(builder, product, labels[1], self.operator, targets[1])
        if added:
            return AddSource(self.operator, plain, sloped).emit(builder, name, target)
        most = larger(builder, plain, sloped, name if _keeps(target, low, high) else builder.unique(f"{name}/larger"))
        return (
            most
            if _keeps(target, low, high)
            else rounded(builder, Real(Dequantized(most)), name, self.operator, target)
        )


def _keeps(target: Target, low: int, high: int) -> bool:
    return target.y_min <= low and high <= target.y_max
