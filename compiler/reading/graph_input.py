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
        """Declare the input tensor under the file's name; all its quantizers must agree."""
        return graph_input(builder, self.operator.name, self.shape, target)


def graph_input(builder: GraphBuilder, name: str, shape: tuple[int, ...], target: Target) -> Tensor:
    """The input tensor `name`, declared at its first use; ``ValueError`` where it is quantized in several ways."""
    known = builder.inputs.get(name)
    if known is None:
        known = Tensor(name=name, shape=shape, **vars(target))
        builder.check(known)
        builder.inputs[known.name] = known
    if Target(known.scale, known.zero_point, known.y_min, known.y_max) != target:
        raise ValueError("must be quantized with one scale, zero point and clamp, not with several")
    return known
