"""`FunctionSource`: a unary function of every element, as a lookup table."""

from __future__ import annotations

from dataclasses import dataclass

from emulator.graph import LookupTable, Tensor
from emulator.lookup import make_table
from emulator.onnx_functions import Function

from .graph_builder import GraphBuilder
from .origin import Origin
from .stored_tables import chosen_table
from .values import Source, Target


@dataclass(frozen=True, eq=False)
class FunctionSource(Source):
    """function(x) for every element of a quantized tensor."""

    operator: Origin
    x: Tensor
    function: Function

    def emit(self, builder: GraphBuilder, name: str, target: Target) -> Tensor:
        """Add the `LookupTable`."""
        arithmetic, x = builder.arithmetic, self.x
        y = (target.scale, target.zero_point, target.y_min, target.y_max)
        computed = make_table(self.function, x.scale, x.zero_point, *y, arithmetic)
        node = LookupTable(
            name=name,
            shape=x.shape,
            **vars(target),
            inputs=(x.name,),
            table=chosen_table(builder.tables.get(name), computed, target.y_min, target.y_max),
        )
        return builder.ordered_as(builder.add(node), x)
