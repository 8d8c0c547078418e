"""Codes that move and keep their values, in the stored order, which is the file's own."""

from __future__ import annotations

import math
from collections.abc import Sequence

from emulator.graph import Concat, Pad, Rescale, Reshape, Slice, Tensor
from emulator.operators.requantization.multiplier import quantize_multiplier

from ..reading.graph_builder import GraphBuilder
from ..reading.moves.rearrange import kept


def relabelled(
    builder: GraphBuilder, x: Tensor, name: str, shape: tuple[int, ...], scale: float, zero_point: int
) -> Tensor:
    """The same codes under another shape, scale and zero point."""
    low, high = builder.arithmetic.activation_range
    return builder.add(
        Reshape(name=name, shape=shape, scale=scale, zero_point=zero_point, y_min=low, y_max=high, inputs=(x.name,))
    )


def reshaped(builder: GraphBuilder, x: Tensor, shape: tuple[int, ...], name: str) -> Tensor:
    """`x` regrouped; itself where the shape stays."""
    return x if shape == x.shape else builder.add(Reshape(name=name, shape=shape, **kept(x)))


def clamped(builder: GraphBuilder, x: Tensor, low: int, high: int, name: str) -> Tensor:
    """The codes of `x` within low … high; `x` itself where they are already."""
    if low <= x.y_min and x.y_max <= high:
        return x
    multiplier, shift = quantize_multiplier(1.0, builder.arithmetic)
    fields = kept(x) | {"y_min": min(max(low, x.y_min), high), "y_max": max(min(high, x.y_max), low)}
    return builder.add(Rescale(name=name, shape=x.shape, **fields, multiplier=multiplier, shift=shift))


def sliced(builder: GraphBuilder, x: Tensor, axis: int, places: range, name: str) -> Tensor:
    """Elements `places` (step at least 1) along a stored axis, from 0."""
    if places == range(x.shape[axis]):
        return x
    if len(places) == 1:
        places = range(places[0], places[0] + 1)
    shape = (*x.shape[:axis], len(places), *x.shape[axis + 1 :])
    start, stop = places[0], places[-1] + 1
    return builder.add(
        Slice(name=name, shape=shape, **kept(x), axis=axis + 1, start=start, stop=stop, step=places.step)
    )


def joined(builder: GraphBuilder, parts: Sequence[Tensor], axis: int, name: str) -> Tensor:
    """Tensors of one scale and zero point, one after the other along a stored axis, from 0."""
    first = parts[0]
    if len(parts) == 1:
        return first
    size = sum(part.shape[axis] for part in parts)
    fields = kept(first) | {
        "inputs": tuple(part.name for part in parts),
        "y_min": min(part.y_min for part in parts),
        "y_max": max(part.y_max for part in parts),
    }
    shape = (*first.shape[:axis], size, *first.shape[axis + 1 :])
    return builder.add(Concat(name=name, shape=shape, **fields, axis=axis + 1))


MAX_PIECES = 1 << 12


def gathered(builder: GraphBuilder, x: Tensor, axis: int, places: Sequence[int], name: str) -> Tensor:
    """Elements `places` along a stored axis; ``ValueError`` where they come in more than 2^12 pieces."""
    size = x.shape[axis]
    times = len(places) // size
    if list(places) == [i for i in range(size) for _ in range(times)] and times <= MAX_PIECES:
        return repeated(builder, x, axis, times, name)
    cuts: list[range] = []
    for place in places:
        if cuts and place == cuts[-1].stop:
            cuts[-1] = range(cuts[-1].start, place + 1)
        else:
            cuts.append(range(place, place + 1))
    if len(cuts) > MAX_PIECES:
        raise ValueError(f"must be put together from at most {MAX_PIECES} pieces along an axis, not {len(cuts)}")
    if len(cuts) == 1:
        return sliced(builder, x, axis, cuts[0], name)
    parts = [sliced(builder, x, axis, cut, builder.unique(f"{name}/{i}")) for i, cut in enumerate(cuts)]
    return joined(builder, parts, axis, name)


def repeated(builder: GraphBuilder, x: Tensor, axis: int, times: int, name: str) -> Tensor:
    """Every index of a stored axis `times` times in a row."""
    if times == 1:
        return x
    before, after = x.shape[: axis + 1], x.shape[axis + 1 :]
    split = reshaped(builder, x, (math.prod(before), 1, math.prod(after)), builder.unique(f"{name}/split"))
    wide = joined(builder, [split] * times, 1, builder.unique(f"{name}/copies"))
    return reshaped(builder, wide, (*before[:-1], before[-1] * times, *after), name)


def padded(builder: GraphBuilder, x: Tensor, axis: int, before: int, after: int, name: str) -> Tensor:
    """Zero points around `x` along a stored axis."""
    if not before and not after:
        return x
    shape = (*x.shape[:axis], before + x.shape[axis] + after, *x.shape[axis + 1 :])
    lead, rest = math.prod(x.shape[:axis]), math.prod(x.shape[axis + 1 :])
    flat = reshaped(builder, x, (lead, x.shape[axis], rest), builder.unique(f"{name}/flat"))
    wide = builder.add(
        Pad(
            name=name if flat is x else builder.unique(f"{name}/padded"),
            shape=(lead, shape[axis], rest),
            **kept(flat),
            padding=(0, before, 0, after),
        )
    )
    return reshaped(builder, wide, shape, name)
