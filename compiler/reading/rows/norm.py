"""`NormSource`: a layer norm or RMS norm along the last axis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emulator.graph import LayerNorm, RMSNorm, Tensor
from emulator.operators.row_operators import make_normalization

from ..graph_builder import GraphBuilder
from ..values import Target
from .source import RowSource


@dataclass(frozen=True, eq=False)
class NormSource(RowSource):
    """A norm; gamma, beta : (N,), None: 1 and 0; centered : a layer norm, otherwise an RMS norm."""

    gamma: NDArray[np.float64] | None
    beta: NDArray[np.float64] | None
    epsilon: float
    centered: bool

    def layer(self, builder: GraphBuilder, name: str, rows: Tensor, target: Target) -> Tensor:
        """Add the `LayerNorm` or `RMSNorm`."""
        parameters = make_normalization(
            self.length,
            rows.scale,
            rows.zero_point,
            target.scale,
            target.zero_point,
            target.y_min,
            target.y_max,
            builder.arithmetic,
            self.gamma,
            self.beta,
            self.epsilon,
        )
        kind = LayerNorm if self.centered else RMSNorm
        return builder.add(
            kind(name=name, shape=rows.shape, **vars(target), inputs=(rows.name,), parameters=parameters)
        )
