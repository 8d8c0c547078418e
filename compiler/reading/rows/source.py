"""`RowSource`: a layer by rows along any axis but the batch's, brought to the last stored axis and back."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from emulator.graph import Tensor, logical_shape
from emulator.operators.row_operators.rows import MAX_LENGTH

from ..graph_builder import GraphBuilder
from ..moves.rearrange import in_logical_order, in_steps, stored_axes
from ..origin import Origin
from ..values import Source, Target


@dataclass(frozen=True, eq=False)
class RowSource(Source):
    """What a layer by rows computes of the codes `x` along a logical axis, the batch being axis 0.

    Raises ``ValueError`` for rows that are too long.
    """

    operator: Origin
    x: Tensor
    axis: int

    def __post_init__(self) -> None:
        if not 1 <= self.length <= MAX_LENGTH:
            raise ValueError(f"rows must have 1 to {MAX_LENGTH} elements, not {self.length} (axis {self.axis})")

    @property
    def length(self) -> int:
        """Elements of a row."""
        return logical_shape(self.x.shape)[self.axis - 1]

    @property
    def rows_shape(self) -> tuple[int, ...]:
        """The logical shape, without the batch, with the rows' axis as its last one: that in which rows are stored."""
        shape = logical_shape(self.x.shape)
        return (*shape[: self.axis - 1], *shape[self.axis :], self.length)

    @abstractmethod
    def layer(self, builder: GraphBuilder, name: str, rows: Tensor, target: Target) -> Tensor:
        """Add the layer, of codes whose rows lie along the last stored axis."""

    def emit(self, builder: GraphBuilder, name: str, target: Target) -> Tensor:
        """Add the layer, called NAME/codes between two `Transpose`s where rows lie along another stored axis."""
        x = in_logical_order(builder, self.x)
        count, stored = len(x.shape), stored_axes(x)
        order = [0, *(axis for axis in range(1, count + 1) if axis != self.axis), self.axis]
        there, back = tuple(map(stored.index, order)), tuple(map(order.index, stored))
        last = self.axis == count > 1
        if last and x.name in builder.turned:
            rows = builder.turned[x.name]
        else:
            rows = in_steps(builder, x, [("axes", there)], builder.unique(f"{name}/rows"))
            if last:
                builder.turned |= {x.name: rows, rows.name: x}
        if rows is x:
            return self.layer(builder, name, x, target)
        made = self.layer(builder, builder.unique(f"{name}/codes"), rows, target)
        result = in_steps(builder, made, [("axes", back)], name)
        if last:
            builder.turned |= {made.name: result, result.name: made}
        return result
