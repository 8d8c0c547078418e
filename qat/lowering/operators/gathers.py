"""What operators become that take codes from places along one axis: rolled, repeated, expanded or picked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import fx

from ...layers.moves import Slice
from ...layers.orders import Gather
from ..arguments import Arguments, shape_of
from ..context import Lowering
from ..registry import handles
from .moves import batch_free


def add_gather(lowering: Lowering, node: fx.Node, source: str, axis: int, places: Sequence[int], size: int) -> str:
    """A `Gather` or a `Slice` along an axis of that size, unless all stays; returns the name of the result."""
    places = [int(place) for place in places]
    if places == list(range(size)):
        lowering.alias(node, source)
        return source
    step = places[1] - places[0] if len(places) > 1 else 1
    cut = range(places[0], places[-1] + 1, step) if step > 0 else range(0)
    if list(cut) == places:
        return lowering.add(node, Slice(lowering.unique(node), source, axis, cut))
    return lowering.add(node, Gather(lowering.unique(node), source, axis, places))


def add_expanded(
    lowering: Lowering, node: fx.Node, source: str, before: tuple[int, ...], after: tuple[int, ...]
) -> str:
    """Axes of size 1 in front of a tensor's, none, repeated to the sizes `after`; returns the name of the result."""
    if len(before) != len(after):
        raise ValueError(
            f"a tensor of {len(before) + 1} axes must have {len(after) + 1} before it is broadcast: unsqueeze it"
        )
    for axis, (size, wanted) in enumerate(zip(before, after, strict=True), 1):
        if size != wanted:
            source = add_gather(lowering, node, source, axis, [0] * wanted, size)
    lowering.alias(node, source)
    return source


@handles("expand.default", "expand_as.default")
def expand(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    add_expanded(lowering, node, lowering.source(a.self), shape_of(a.self), shape_of(node))


@handles("repeat.default", "tile.default")
def repeat(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    """Whole tensors one after the other."""
    shape, source = shape_of(a.self), lowering.source(a.self)
    counts = list(a.repeats if hasattr(a, "repeats") else a.dims)
    counts = [1] * (len(shape) + 1 - len(counts)) + counts
    if len(counts) > len(shape) + 1 or counts[0] != 1:
        raise ValueError("the batch must be repeated once, and no axis put in front of it: use unsqueeze behind it")
    for axis, (size, count) in enumerate(zip(shape, counts[1:], strict=True), 1):
        source = add_gather(lowering, node, source, axis, list(range(size)) * count, size)
    lowering.alias(node, source)


@handles("repeat_interleave.self_int", "repeat_interleave.self_Tensor")
def repeat_interleave(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    """Each element along an axis several times."""
    if a.dim is None:
        raise ValueError("dim must be given, so that the batch stays as it is: flatten(1) first for all elements")
    if not isinstance(a.repeats, int):
        raise ValueError(
            "repeats must be one number, not a tensor: use index_select with a buffer of the places, each as often as "
            "it is wanted"
        )
    axis = batch_free(a.dim, shape_of(a.self))
    size = shape_of(a.self)[axis - 1]
    add_gather(lowering, node, lowering.source(a.self), axis, np.repeat(np.arange(size), a.repeats).tolist(), size)


@handles("roll.default")
def roll(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    """Along axes; what leaves a tensor at one end comes in at the other."""
    if not a.dims:
        raise ValueError("dims must be given, so that samples stay apart: flatten(1) first for all elements")
    shape, source = shape_of(a.self), lowering.source(a.self)
    for shift, dim in zip(a.shifts, a.dims, strict=True):
        axis = batch_free(dim, shape)
        size = shape[axis - 1]
        source = add_gather(lowering, node, source, axis, np.roll(np.arange(size), shift).tolist(), size)
    lowering.alias(node, source)


@handles("index_select.default")
def index_select(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    places, axis = lowering.builder.integers(a.index), a.dim % (len(shape_of(a.self)) + 1)
    if places is None or axis == 0:
        raise ValueError(
            "its index must be a constant or a buffer, along an axis that is not the batch's: register it with "
            "register_buffer"
        )
    size = shape_of(a.self)[axis - 1]
    add_gather(lowering, node, lowering.source(a.self), axis, [place % size for place in places], size)
