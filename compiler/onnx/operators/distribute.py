"""What works on each channel or element alone, of tensors that are joined: it goes to the parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

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
    """`compute` of each part and the channels that it has, joined again.

    None unless input `index` is a Concat that nothing has rounded, of channels or with `any_axis` along any axis.
    """
    value = env.real(op, index)
    source = value.source
    if not isinstance(source, ConcatSource) or value.moves or source.exact() is not None:
        return None
    found = [_channels(env, part) for part in source.parts]
    rank = found[0][1] + 1
    if not any_axis and (value.clamps or source.axis % rank != 1):
        return None
    parts, first = [], 0
    for part, (channels, _) in zip(source.parts, found, strict=True):
        clamped = replace(part, low=value.low, high=value.high, clamps=value.clamps) if value.clamps else part
        parts.append(compute(clamped, slice(first, first + channels)))
        first += channels
    return Real(ConcatSource(op, tuple(parts), source.axis))


def _channels(env: Environment, part: Real) -> tuple[int, int]:
    """(channels, axes without the batch) of a part."""
    if part.bare and isinstance(part.source, WeightedSource):
        return part.source.weights.channels, len(part.source.x.shape)
    shape = logical_shape(operand(env.builder, part).shape)
    return shape[0], len(shape)
