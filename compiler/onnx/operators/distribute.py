"""What works on each channel or element alone, of tensors that are joined: it goes to the parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from emulator.graph import logical_shape

from ...reading.moves.concat import ConcatSource
from ...reading.products.weighted import WeightedSource
from ...reading.rounding import operand
from ...reading.values import Real
from ..environment import Environment
from ..operator import Operator


def distributed(
    env: Environment, op: Operator, index: int, compute: Callable[[Real, slice], Real], any_axis: bool = False
) -> Real | None:
    """`compute` of each part and the channels that it has, all with `any_axis`, joined again.

    None unless input `index` is a Concat that nothing has rounded, of channels or with `any_axis` along any axis.
    """
    value = env.real(op, index)
    source = value.source
    if not isinstance(source, ConcatSource) or value.moves or source.exact() is not None:
        return None
    if any_axis:
        places = [slice(None)] * len(source.parts)
    else:
        found = [_channels(env, part) for part in source.parts]
        if value.clamps or source.axis % (found[0][1] + 1) != 1:
            return None
        ends = np.cumsum([channels for channels, _ in found]).tolist()
        places = [slice(end - channels, end) for end, (channels, _) in zip(ends, found, strict=True)]
    parts = [compute(_clamped(part, value), place) for part, place in zip(source.parts, places, strict=True)]
    return Real(ConcatSource(op, tuple(parts), source.axis))


def _clamped(part: Real, whole: Real) -> Real:
    """A part with its own clamps, and those of the whole behind them."""
    if not whole.clamps:
        return part
    return replace(part.clamped(whole.clamps[-1], whole.low, whole.high), clamps=(*part.clamps, *whole.clamps))


def _channels(env: Environment, part: Real) -> tuple[int, int]:
    """(channels, axes without the batch) of a part."""
    source = part.source
    if isinstance(source, WeightedSource) and source.channels_first and not part.moves:
        return source.weights.channels, len(source.x.shape)
    shape = logical_shape(operand(env.builder, part).shape)
    return shape[0], len(shape)
