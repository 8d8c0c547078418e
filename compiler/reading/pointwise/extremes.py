"""`ExtremeSource`: the larger or smaller of two tensors at each place, each rounded once to the result's scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emulator.graph import LookupTable, Tensor

from ..graph_builder import GraphBuilder
from ..moves.rearrange import in_logical_order
from ..origin import Origin
from ..rounding import rounded
from ..values import Real, Source, Target
from .pairs import larger


@dataclass(frozen=True, eq=False)
class ExtremeSource(Source):
    """max(a, b), or with `smallest` min(a, b), of one shape.

    Rounding is monotone, so the larger one of two rounded numbers is the larger one, rounded.
    """

    operator: Origin
    a: Real
    b: Real
    smallest: bool = False

    def emit(self, builder: GraphBuilder, name: str, target: Target) -> Tensor:
        """Add NAME/0 and NAME/1, the operands' codes where they have others, and the larger ones."""
        low, high = builder.arithmetic.activation_range
        wide = Target(target.scale, target.zero_point, low, high)
        sides = []
        for index, each in enumerate((self.a, self.b)):
            side = in_logical_order(builder, rounded(builder, each, f"{name}/{index}", self.operator, wide))
            sides.append(_turned_over(builder, side, f"{name}/{index}/below") if self.smallest else side)
        a, b = sides
        if a.shape != b.shape:
            raise ValueError("the inputs must have one shape")
        if not self.smallest and (low, high) == (target.y_min, target.y_max):
            return larger(builder, a, b, name)
        return self._limited(builder, larger(builder, a, b, builder.unique(f"{name}/largest")), name, target)

    def _limited(self, builder: GraphBuilder, x: Tensor, name: str, target: Target) -> Tensor:
        """A table that turns the codes back, and clamps them."""
        low, high = builder.arithmetic.activation_range
        codes = np.arange(low, high + 1)
        table = np.clip(~codes if self.smallest else codes, target.y_min, target.y_max).astype(np.int8)
        return builder.add(LookupTable(name=name, shape=x.shape, **vars(target), inputs=(x.name,), table=table))


def _turned_over(builder: GraphBuilder, x: Tensor, name: str) -> Tensor:
    """The codes ~x, of which the largest is that of the smallest code of `x`."""
    low, high = builder.arithmetic.activation_range
    codes = np.arange(low, high + 1)
    return builder.add(
        LookupTable(
            name=builder.unique(name),
            shape=x.shape,
            scale=x.scale,
            zero_point=~x.zero_point,
            y_min=~x.y_max,
            y_max=~x.y_min,
            inputs=(x.name,),
            table=(~codes).astype(np.int8),
        )
    )
