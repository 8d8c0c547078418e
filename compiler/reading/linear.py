"""`LinearSource`: a matrix product with constant weights, of vectors and of every position of a sequence."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from emulator.graph import Convolution, Linear, Tensor, logical_shape

from .constants import Constant, QuantizedConstant
from .graph_builder import GraphBuilder
from .origin import Origin
from .rearrange import turned
from .values import Source, Target
from .weights import Weights, bias_error, integer_bias, layer_multiplier


@dataclass(frozen=True, eq=False)
class LinearSource(Source):
    """A matrix product of codes (batch, K) or (batch, T, K); weights' codes are (K, N), rows in the file's order."""

    operator: Origin
    x: Tensor
    weights: Weights
    bias: Constant | QuantizedConstant | None

    def with_bias(self, bias: Constant | QuantizedConstant) -> LinearSource:
        """This, with the bias of an Add behind it: one element, or (N,) with any leading axes of size 1."""
        values = bias.values if isinstance(bias, Constant) else bias.codes
        if values.size != 1 and values.shape[-1:] != (self.weights.channels,):
            raise ValueError(f"a bias must have the shape ({self.weights.channels},), not {values.shape}")
        return replace(self, bias=bias)

    def emit(self, builder: GraphBuilder, name: str, target: Target) -> Tensor:
        """Add the `Linear`; behind the flattening of a feature map its rows follow the map's stored order (NHWC).

        (batch, T, K) is stored (K, T): a 1×1 convolution over K channels, called NAME/codes, between two `Transpose`s.
        """
        weight, channels = self.weights.codes, self.weights.channels
        if self.x.name in builder.orders:
            shape = logical_shape(builder.orders[self.x.name])
            weight = np.moveaxis(weight.reshape(*shape, channels), 0, -2).reshape(-1, channels)
        bias = integer_bias(self.bias, self.x, self.weights, builder.arithmetic)
        builder.bias_errors[name] = bias_error(self.bias, bias, self.x, self.weights, target)
        multiplier, shift = layer_multiplier(self.x, self.weights, target, builder.arithmetic)
        requantization = {**vars(target), "bias": bias, "multiplier": multiplier, "shift": shift}
        if len(self.x.shape) == 1:
            weight = np.ascontiguousarray(weight)
            return builder.add(
                Linear(name=name, shape=(channels,), inputs=(self.x.name,), weight=weight, **requantization)
            )
        x = turned(builder, self.x, builder.unique(f"{name}/turned"))
        length = x.shape[0]
        made = builder.add(
            Convolution(
                name=name if length == channels == 1 else builder.unique(f"{name}/codes"),
                shape=(length, channels),
                inputs=(x.name,),
                weight=np.ascontiguousarray(weight.T)[:, None, None, :],
                **requantization,
            )
        )
        return turned(builder, made, name)
