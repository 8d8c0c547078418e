"""`FunctionSource`: a unary function of every element, as a lookup table."""

from __future__ import annotations

from dataclasses import dataclass

from emulator.graph import LookupTable, Tensor
from emulator.onnx_functions import Function
from emulator.operators.lookup import make_table

from ..errors import located
from ..graph_builder import GraphBuilder
from ..origin import Origin
from ..stored.tables import chosen_table
from ..values import Source, Target
from .intermediate import intermediate


@dataclass(frozen=True, eq=False)
class FunctionSource(Source):
    """function(x) for every element of a quantized tensor, or of what a layer computes and nothing has rounded."""

    operator: Origin
    x: Tensor | Source
    function: Function

    def emit(self, builder: GraphBuilder, name: str, target: Target) -> Tensor:
        """Add the `LookupTable`, behind a layer NAME/sums where `x` has no codes yet."""
        arithmetic, x = builder.arithmetic, self.x
        if isinstance(x, Source):
            between, error = intermediate(self.function, target, arithmetic)
            with located(str(x.operator)):
                x = x.emit(builder, builder.unique(f"{name}/sums"), between)
            builder.second_roundings[name] = {
                "layer": x.name,
                "scale": x.scale,
                "zero_point": x.zero_point,
                "error": error,
            }
            builder.bias_errors[name] = error
        low, high = arithmetic.activation_range
        builder.quotients[name] = [
            float(self.function(x.scale * (code - x.zero_point))) / target.scale for code in range(low, high + 1)
        ]
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
