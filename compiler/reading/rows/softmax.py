"""`SoftmaxSource`: a softmax along one axis, with a constant mask."""

from __future__ import annotations

from dataclasses import dataclass

from emulator.graph import Softmax, Tensor, logical_shape
from emulator.operators.row_operators import make_softmax

from ..graph_builder import GraphBuilder
from ..values import Target
from .mask import Mask
from .source import RowSource


@dataclass(frozen=True, eq=False)
class SoftmaxSource(RowSource):
    """Softmax of beta · sx · (x − zx), where `mask` lets it count; beta is positive."""

    beta: float = 1.0
    mask: Mask | None = None

    def layer(self, builder: GraphBuilder, name: str, rows: Tensor, target: Target) -> Tensor:
        """Add the `Softmax`."""
        parameters = make_softmax(
            rows.scale, target.scale, target.zero_point, target.y_min, target.y_max, builder.arithmetic, self.beta
        )
        shape = logical_shape(self.x.shape)
        mask = None
        if self.mask is not None and self.mask.hidden.any():
            mask = self.mask.integers(shape, self.axis, self.x, self.beta, target.scale)
        node = Softmax(
            name=name, shape=rows.shape, **vars(target), inputs=(rows.name,), parameters=parameters, mask=mask
        )
        return builder.add(node)
