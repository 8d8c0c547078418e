"""`ConcatSource`: tensors one after the other, each brought to the result's scale and zero point with one rounding."""

from __future__ import annotations

from dataclasses import dataclass

from emulator.graph import Concat, Tensor, logical_shape, stored_shape

from ..graph_builder import GraphBuilder
from ..origin import Origin
from ..rounding import rounded
from ..values import Real, Source, Target
from .rearrange import checked_axis, in_logical_order, stored_axes


@dataclass(frozen=True, eq=False)
class ConcatSource(Source):
    """Real numbers one after the other along a logical axis, the batch being axis 0."""

    operator: Origin
    parts: tuple[Real, ...]
    axis: int

    def exact(self) -> Target | None:
        """The parts' own scale and zero point, if all of them are codes with the same ones."""
        targets = [part.exact() for part in self.parts]
        known = [target for target in targets if target is not None]
        if len(known) < len(targets) or len({(target.scale, target.zero_point) for target in known}) > 1:
            return None
        low, high = min(target.y_min for target in known), max(target.y_max for target in known)
        return Target(known[0].scale, known[0].zero_point, low, high)

    def emit(self, builder: GraphBuilder, name: str, target: Target) -> Tensor:
        """Add the `Concat`, behind what rounds the parts: a `Rescale` called NAME/0, … where a part is codes."""
        tensors = []
        for index, part in enumerate(self.parts):
            label = part.last.name if part.last is not None else ""
            tensor = rounded(builder, part, label or f"{name}/{index}", self.operator, target)
            tensors.append(in_logical_order(builder, tensor))
        first, *others = (logical_shape(tensor.shape) for tensor in tensors)
        axis = checked_axis(self.axis, len(first) + 1)
        for other in others:
            if len(other) != len(first) or other[: axis - 1] + other[axis:] != first[: axis - 1] + first[axis:]:
                raise ValueError(f"inputs must have one shape but for axis {axis}, not {first} and {other}")
        shape = (*first[: axis - 1], first[axis - 1] + sum(other[axis - 1] for other in others), *first[axis:])
        return builder.add(
            Concat(
                name=name,
                shape=stored_shape(shape),
                **vars(target),
                inputs=tuple(tensor.name for tensor in tensors),
                axis=stored_axes(tensors[0]).index(axis),
            )
        )
