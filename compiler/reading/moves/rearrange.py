"""Codes in another shape or order: the layers that move them, and where a plain regrouping of memory is enough.

The file's (logical) shapes have the channels first, stored ones last; neither has the batch axis here. A vector that a
map was flattened to keeps the map's stored order, which `GraphBuilder.orders` notes: a linear layer permutes its
weights instead (contract, section 2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from emulator.graph import Concat, Reshape, Slice, Tensor, Transpose, logical_shape, stored_shape

from ..graph_builder import GraphBuilder


def kept(x: Tensor) -> dict[str, Any]:
    """The fields of a layer that moves the codes of `x`, but for name and shape."""
    return {
        "scale": x.scale,
        "zero_point": x.zero_point,
        "y_min": x.y_min,
        "y_max": x.y_max,
        "inputs": (x.name,),
    }


def reshaped(builder: GraphBuilder, x: Tensor, shape: tuple[int, ...], name: str) -> Tensor:
    """`x` regrouped to the logical `shape`; itself where the shape stays.

    A vector takes over the order in which `x` is stored. Anything else is a `Reshape` where the stored order stays the
    same, and otherwise a `Transpose` to the logical order, a `Reshape` and a `Transpose` to the stored order.
    """
    if shape == logical_shape(x.shape):
        return x
    origin = builder.orders.get(x.name, x.shape)
    order = _order(origin)
    if len(shape) == 1:
        node = _regrouped(builder, x, shape, name)
        if len(order) > 1:
            builder.orders[node.name] = origin
        return node
    target = stored_shape(shape)
    if order == _order(target):
        return _regrouped(builder, x, target, name)
    steps: list[tuple[str, tuple[int, ...]]] = []
    if len(order) > 1:
        steps += [("shape", origin), ("axes", (0, len(origin), *range(1, len(origin))))]
    if len(_order(target)) > 1:
        steps += [("shape", shape), ("axes", (0, *range(2, len(shape) + 1), 1))]
    else:
        steps += [("shape", target)]
    return in_steps(builder, x, steps, name)


def in_logical_order(builder: GraphBuilder, x: Tensor) -> Tensor:
    """`x`, or where it is a flattened map a copy in the file's order."""
    if x.name not in builder.orders:
        return x
    if x.name not in builder.reordered:
        origin = builder.orders[x.name]
        steps = [("shape", origin), ("axes", (0, len(origin), *range(1, len(origin)))), ("shape", x.shape)]
        builder.reordered[x.name] = in_steps(builder, x, steps, builder.unique(f"{x.name}/ordered"))
    return builder.reordered[x.name]


def transposed(builder: GraphBuilder, x: Tensor, order: Sequence[int], name: str) -> Tensor:
    """`x` with logical axis i being its logical axis ``order[i]``; the batch is axis 0 and stays."""
    stored = stored_axes(x)
    return in_steps(builder, x, [("axes", tuple(stored.index(order[axis]) for axis in stored))], name)


def sliced(builder: GraphBuilder, x: Tensor, axis: int, places: range, name: str) -> Tensor:
    """Elements `places` (step at least 1) along a logical axis, the batch being axis 0.

    Of a sequence that is another one with length and channels exchanged, they are taken out of that.
    """
    x = in_logical_order(builder, x)
    place = stored_axes(x).index(axis)
    if places == range(x.shape[place - 1]):
        return x
    node = builder.node(x.name) if x.name in builder.turned else None
    if isinstance(node, Transpose) and node.inputs == (builder.turned[x.name].name,):
        part = sliced(builder, builder.turned[x.name], 3 - axis, places, builder.unique(f"{name}/turned"))
        made = transposed(builder, part, (0, 2, 1), name)
        if made is not part:
            builder.turned.setdefault(part.name, made)
            builder.turned.setdefault(made.name, part)
        return made
    shape = (*x.shape[: place - 1], len(places), *x.shape[place:])
    start, stop = places[0], places[-1] + 1
    node = Slice(name=name, shape=shape, **kept(x), axis=place, start=start, stop=stop, step=places.step)
    return builder.add(node)


def gathered(builder: GraphBuilder, x: Tensor, axis: int, places: Sequence[int], name: str) -> Tensor:
    """Elements `places` along a logical axis, the batch being axis 0.

    An even selection is a slice, a channel shuffle (the places of a grid, column by column) one transpose, places that
    are each repeated equally often are joined with themselves; anything else is joined from slices.
    """
    x = in_logical_order(builder, x)
    place = stored_axes(x).index(axis)
    size = x.shape[place - 1]
    cuts = _progressions(places)
    if len(cuts) == 1:
        return sliced(builder, x, axis, cuts[0], name)
    before, after = x.shape[: place - 1], x.shape[place:]
    row = size // len(cuts[0])
    if list(places) == [first + row * index for first in range(row) for index in range(size // row)]:
        split = (*before, size // row, row, *after)
        swapped = [*range(place), place + 1, place, *range(place + 2, len(split) + 1)]
        return in_steps(builder, x, [("shape", split), ("axes", tuple(swapped)), ("shape", x.shape)], name)
    times = _repetitions(places)
    if times > 1:
        once = gathered(builder, x, axis, places[::times], builder.unique(f"{name}/once"))
        return _repeated(builder, once, place, times, name)
    parts = [sliced(builder, x, axis, cut, builder.unique(f"{name}/{index}")) for index, cut in enumerate(cuts)]
    fields = kept(x) | {"inputs": tuple(part.name for part in parts)}
    return builder.add(Concat(name=name, shape=(*before, len(places), *after), **fields, axis=place))


def _repetitions(places: Sequence[int]) -> int:
    """How often each place follows itself, 1 if not all do so equally often."""
    times = next((index for index, place in enumerate(places) if place != places[0]), len(places))
    even = len(places) % times == 0 and all(
        place == places[index - index % times] for index, place in enumerate(places)
    )
    return times if even else 1


def _repeated(builder: GraphBuilder, x: Tensor, place: int, times: int, name: str) -> Tensor:
    """Each element along stored axis `place` that often, one behind the other."""
    before, after = math.prod(x.shape[:place]), math.prod(x.shape[place:])
    lines = _regrouped(builder, x, (before, after), builder.unique(f"{name}/lines"))
    shape = (*x.shape[: place - 1], x.shape[place - 1] * times, *x.shape[place:])
    final = (before, after * times)
    fields = kept(lines) | {"inputs": (lines.name,) * times}
    label = name if final == shape else builder.unique(f"{name}/repeated")
    return _regrouped(builder, builder.add(Concat(name=label, shape=final, **fields, axis=2)), shape, name)


def _progressions(places: Sequence[int]) -> list[range]:
    """`places` cut into as few ascending ranges as one finds from the front."""
    cuts: list[range] = []
    for place in places:
        last = cuts[-1] if cuts else range(0)
        step = place - last[-1] if last else 0
        if step > 0 and (len(last) == 1 or step == last.step):
            cuts[-1] = range(last.start, place + 1, step)
        else:
            cuts.append(range(place, place + 1))
    return cuts


def stored_axes(x: Tensor) -> list[int]:
    """The logical axis of each stored axis, the batch being 0 in both."""
    return [0, *stored_shape(tuple(range(1, len(x.shape) + 1)))]


def checked_axis(axis: int, rank: int) -> int:
    """An ONNX axis of `rank` counted from the front; ``ValueError`` if it does not exist or is the batch's."""
    if not -rank <= axis < rank:
        raise ValueError(f"axis must be from {-rank} to {rank - 1}, not {axis}")
    if axis % rank == 0:
        raise ValueError(f"axis must not be the batch's, as {axis} is")
    return axis % rank


def _order(stored: tuple[int, ...]) -> list[tuple[int, int]]:
    """A stored tensor's axes, slowest first, as (size, distance in logical order), with as few axes as can be.

    Two tensors hold their codes in the same order exactly if these are equal; in logical order with at most one axis.
    """
    logical = logical_shape(stored)
    distances = [math.prod(logical[axis + 1 :]) for axis in range(len(logical))]
    axes: list[tuple[int, int]] = []
    for size, distance in zip(stored, stored_shape(tuple(distances)), strict=True):
        if size > 1 and axes and axes[-1][1] == size * distance:
            axes[-1] = axes[-1][0] * size, distance
        elif size > 1:
            axes.append((size, distance))
    return axes


def _regrouped(builder: GraphBuilder, x: Tensor, shape: tuple[int, ...], name: str) -> Tensor:
    return x if shape == x.shape else builder.add(Reshape(name=name, shape=shape, **kept(x)))


def in_steps(builder: GraphBuilder, x: Tensor, steps: list[tuple[str, tuple[int, ...]]], name: str) -> Tensor:
    """Reshapes to stored shapes and transposes by stored axes, one after the other; the last one is called `name`.

    A transpose that moves no code is a reshape, and what changes nothing is left out.
    """
    shape = x.shape
    moves: list[tuple[tuple[int, ...] | None, tuple[int, ...]]] = []
    for kind, values in steps:
        after = values if kind == "shape" else tuple(shape[axis - 1] for axis in values[1:])
        moving = [axis for axis in values[1:] if shape[axis - 1] > 1] if kind == "axes" else []
        still = moving == sorted(moving)
        if after != shape or not still:
            moves.append((None if still else values, after))
        shape = after
    for index, (axes, after) in enumerate(moves):
        label = name if index == len(moves) - 1 else builder.unique(f"{name}/{index}")
        node = Reshape(name=label, shape=after, **kept(x))
        x = builder.add(node if axes is None else Transpose(name=label, shape=after, **kept(x), axes=axes))
    return x
