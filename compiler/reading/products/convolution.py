"""`ConvolutionSource`: a 1-D or 2-D convolution with any kernel, strides, padding, dilations and groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.graph import Convolution, Tensor

from ..graph_builder import GraphBuilder
from ..sums import Sums
from ..values import Target
from ..windows import WindowGeometry
from .weighted import Reals, WeightedSource, channel_column
from .weights import Weights


@dataclass(frozen=True, eq=False, kw_only=True)
class ConvolutionSource(WeightedSource):
    """A convolution of codes; weights' codes are (O, I/groups, kernel …), as in the file."""

    geometry: WindowGeometry
    groups: int = 1

    def channel_values(self, values: NDArray[Any]) -> Reals:
        """One number, or (channels, 1, …) with any leading axes of size 1, as (channels,)."""
        return channel_column(values, self.weights.channels, len(self.x.shape))

    def emit(self, builder: GraphBuilder, name: str, target: Target) -> Tensor:
        """Add the `Convolution`."""
        return self.layer(builder, name, *self.requantization(builder, name, target))

    def sums(self, builder: GraphBuilder, name: str) -> Sums:
        """Add the `Convolution` with `raw`."""
        fields, scale, offset = self.raw_fields(builder)
        return Sums(self.layer(builder, name, self.weights, fields), scale, offset, turned=False)

    def layer(self, builder: GraphBuilder, name: str, weights: Weights, fields: dict[str, Any]) -> Tensor:
        """Add the `Convolution`; its weights are stored channel last."""
        outputs, depth = weights.codes.shape[:2]
        weight = weights.codes.reshape(outputs, depth, *self.geometry.kernel).transpose(0, 2, 3, 1)
        return builder.add(
            Convolution(
                name=name,
                shape=(*self.geometry.output, outputs)[-len(self.x.shape) :],
                **fields,
                weight=np.ascontiguousarray(weight),
                strides=self.geometry.strides,
                padding=self.geometry.padding,
                dilations=self.geometry.dilations,
                groups=self.groups,
            )
        )
