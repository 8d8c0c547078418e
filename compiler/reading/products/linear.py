"""`LinearSource`: a matrix product with constant weights, of vectors and of every position of a sequence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.graph import Convolution, Linear, Tensor, logical_shape

from ..graph_builder import GraphBuilder
from ..moves.composed import turned
from ..sums import Sums
from ..values import Target
from .weighted import ANY_SHAPE, Reals, WeightedSource
from .weights import Weights


@dataclass(frozen=True, eq=False)
class LinearSource(WeightedSource):
    """A matrix product of codes (batch, K) or (batch, T, K); weights' codes are (K, N), rows in the file's order."""

    weight_axis = 1

    @property
    def channels_first(self) -> bool:
        """Not of a sequence, whose channels are its last axis."""
        return len(self.x.shape) == 1

    def channel_values(self, values: NDArray[Any]) -> Reals:
        """One number, or (N,) with any leading axes of size 1, as (N,)."""
        channels = self.weights.channels
        if values.size != 1 and (values.shape[-1:] != (channels,) or values.size != channels):
            raise ValueError(f"constants behind sums must have the shape ({channels},), not {values.shape}{ANY_SHAPE}")
        return np.broadcast_to(values.astype(np.float64).reshape(-1), (channels,))

    def emit(self, builder: GraphBuilder, name: str, target: Target) -> Tensor:
        """Add the `Linear`, or of a sequence the layer called NAME/codes between two `Transpose`s."""
        weights, fields = self.requantization(builder, name, target)
        if len(self.x.shape) == 1:
            return self.layer(builder, name, weights, fields)
        turned(builder, self.x, builder.unique(f"{name}/turned"))  # which the layer finds
        still = self.x.shape[-1] == weights.channels == 1
        made = self.layer(builder, name if still else builder.unique(f"{name}/codes"), weights, fields)
        return turned(builder, made, name)

    def sums(self, builder: GraphBuilder, name: str) -> Sums:
        """Add the layer with `raw`; a sequence's sums are those of the `Convolution`, (length, channels)."""
        fields, scale, offset = self.raw_fields(builder)
        return Sums(self.layer(builder, name, self.weights, fields), scale, offset, turned=len(self.x.shape) > 1)

    def layer(self, builder: GraphBuilder, name: str, weights: Weights, fields: dict[str, Any]) -> Tensor:
        """Add the `Linear`; behind the flattening of a feature map its rows follow the map's stored order (NHWC).

        (batch, T, K) is stored (K, T): a 1×1 convolution over K channels behind a `Transpose`.
        """
        weight, channels = weights.codes, weights.channels
        if self.x.name in builder.orders:
            shape = logical_shape(builder.orders[self.x.name])
            weight = np.moveaxis(weight.reshape(*shape, channels), 0, -2).reshape(-1, channels)
        if len(self.x.shape) == 1:
            weight = np.ascontiguousarray(weight)
            return builder.add(Linear(name=name, shape=(channels,), weight=weight, **fields))
        x = turned(builder, self.x, builder.unique(f"{name}/turned"))
        return builder.add(
            Convolution(
                name=name,
                shape=(x.shape[0], channels),
                weight=np.ascontiguousarray(weight.T)[:, None, None, :],
                **(fields | {"inputs": (x.name,)}),
            )
        )
