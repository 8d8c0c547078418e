"""Rounding a layer's sums, or a quantized tensor, with a scale for each channel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from emulator.graph import Tensor
from emulator.operators.quantize import quantize

from ..channel_scaled import WAY_OUT
from ..graph_builder import GraphBuilder
from ..origin import Origin
from ..rounding import rounded
from ..values import Dequantized, Real, Target
from .affine import affine
from .weighted import WeightedSource


def quantized_by_channel(
    builder: GraphBuilder, real: Real, op: Origin, scale: NDArray[np.float32], zero_point: int, low: int, high: int
) -> Tensor:
    """The codes of `real`, each channel with its own scale: of a layer's sums, or of a quantized tensor.

    Raises ``ValueError`` for anything else, and where a clamp falls on different codes.
    """
    source = real.source
    if isinstance(source, Dequantized) and not real.moves:
        source = affine(builder, op, source.tensor, np.ones(1), np.zeros(1)).source
    fits = isinstance(source, WeightedSource) and source.channels_first and source.weights.channels == len(scale)
    if not isinstance(source, WeightedSource) or real.moves or not fits:
        raise ValueError(f"an activation must have one scale, not one per channel, unless a Conv makes it; {WAY_OUT}")
    bounds = {
        tuple(int(quantize(bound, each, zero_point, low, high)) for bound in (real.low, real.high)) for each in scale
    }
    if len(bounds) > 1:
        raise ValueError(f"its clamp to {real.low} … {real.high} must be one code for all channels; {WAY_OUT}")
    ((least, most),) = bounds
    name = (real.last.name if real.last is not None else "") or op.output
    target = Target(float(scale.max()), zero_point, least, most)
    tensor = rounded(builder, Real(replace(source, y_scale=scale)), name, op, target)
    builder.channel_scales[tensor.name] = scale.tolist()
    return tensor
