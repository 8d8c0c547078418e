"""Float inputs of the graph: the host quantizes them, so that only codes come in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from emulator.graph import Tensor

from .graph_builder import GraphBuilder
from .origin import Origin
from .values import Source, Target


@dataclass(frozen=True, eq=False)
class InputSource(Source):
    """A float input of the graph, which its quantizer turns into the graph's input tensor."""

    operator: Origin
    shape: tuple[int, ...]
    is_input: ClassVar[bool] = True

    def emit(self, builder: GraphBuilder, name: str, target: Target) -> Tensor:
        """Declare the input tensor under the file's name; where its quantizers differ, further ones are copies."""
        own = self.operator.name
        for known in [own, *(copy for copy, origin in builder.copies.items() if origin == own)]:
            if known not in builder.inputs or target_of(builder.inputs[known]) == target:
                return graph_input(builder, known, self.shape, target)
        copy = builder.unique(own)
        builder.copies[copy] = own
        return graph_input(builder, copy, self.shape, target)


def target_of(tensor: Tensor) -> Target:
    """What a quantizer would ask for to make such codes."""
    return Target(tensor.scale, tensor.zero_point, tensor.y_min, tensor.y_max)


def graph_input(builder: GraphBuilder, name: str, shape: tuple[int, ...], target: Target) -> Tensor:
    """The input tensor `name`, declared at its first use; ``ValueError`` where it is quantized in several ways."""
    known = builder.inputs.get(name)
    if known is None:
        known = Tensor(name=name, shape=shape, **vars(target))
        builder.check(known)
        builder.inputs[known.name] = known
    if target_of(known) != target:
        raise ValueError("must be quantized with one scale, zero point and clamp, not with several")
    return known
