"""`MaskedScores`: scores with a constant mask that a quantizer rounds, as a layer of codes of its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emulator.graph import Tensor, logical_shape

from ..graph_builder import GraphBuilder
from ..origin import Origin
from ..products.affine import affine
from ..values import Source, Target
from .mask import Mask, without_batch


@dataclass(frozen=True, eq=False)
class MaskedScores(Source):
    """beta · real(x) with the mask's values added, or in its place where they hide it.

    Raises ``ValueError`` for a mask that does not broadcast to the codes, or is not a number somewhere.
    """

    operator: Origin
    x: Tensor
    beta: float
    mask: Mask

    def __post_init__(self) -> None:
        shape = logical_shape(self.x.shape)
        for array in (self.mask.hidden, self.mask.values):
            try:
                np.broadcast_to(without_batch(array, len(shape)), shape)
            except ValueError:
                raise ValueError(
                    f"a mask must broadcast to {shape} (without the batch), not have the shape {array.shape}"
                ) from None
        if np.isnan(self.mask.values).any():
            raise ValueError("a mask must hold numbers, not NaN")

    def emit(self, builder: GraphBuilder, name: str, target: Target) -> Tensor:
        """Add an affine map. What lies beyond the target's codes, as −∞ does, is brought to their edge: they clamp."""
        axes = len(self.x.shape)
        hidden, values = without_batch(self.mask.hidden, axes), without_batch(self.mask.values, axes)
        span = self.beta * self.x.scale * 256 if self.mask.added else 0.0
        low = target.scale * (target.y_min - target.zero_point - 1) - span
        high = target.scale * (target.y_max - target.zero_point + 1) + span
        offset = np.where(hidden, np.clip(values, low, high), 0.0)
        gain = np.full(1, self.beta) if self.mask.added else np.where(hidden, 0.0, self.beta)
        real = affine(builder, self.operator, self.x, gain, offset)
        assert isinstance(real.source, Source)
        tensor = real.source.emit(builder, builder.unique(f"{name}/map") if real.moves else name, target)
        for move in real.moves:
            tensor = move.apply(builder, tensor, name)
        return tensor
