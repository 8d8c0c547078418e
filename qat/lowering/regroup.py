"""`Regrouped`: reshapes to more than four axes, which stand between two layers and are none.

A channel shuffle is often written as a reshape to five axes, a transpose and a reshape back, and queries, keys and
values of all heads are often parts of a tensor of five axes. What stands between says where each code comes from; from
that the last reshape, or the part, finds the layers.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx, nn

from ..layers.layer import Layer
from ..layers.moves import Reshape, Slice, Transpose
from ..layers.orders import Gather, PixelShuffle, PixelUnshuffle
from .arguments import Arguments, shape_of
from .context import Lowering
from .made import Made, Regrouped

MOST_AXES = 3
KEEPING = frozenset(
    f"aten.{name}"
    for name in (
        "alias.default", "clone.default", "contiguous.default", "detach.default", "flatten.using_ints",
        "reshape.default", "squeeze.dim", "squeeze.dims", "unflatten.int", "unsqueeze.default", "view.default",
        "_unsafe_view.default",
    )
)  # fmt: skip
SAME_SHAPE = frozenset(f"aten.{name}.default" for name in ("alias", "clone", "contiguous", "detach"))


def regrouped(source: str, before: tuple[int, ...], shape: tuple[int, ...]) -> Regrouped:
    """The codes of a layer under another shape."""
    return Regrouped(source, before, np.arange(math.prod(before)).reshape(shape))


def handled(lowering: Lowering, node: fx.Node, kind: str, made: Regrouped, a: Arguments) -> bool:
    """Lower an operator of that kind, which moves or parts the codes that it reads first; whether it is one."""
    rank = made.places.ndim + 1
    if kind in ("aten.select.int", "aten.unbind.int"):
        parts = _parts(made, a.dim % rank, [a.index] if kind == "aten.select.int" else None)
        lowering.alias(node, *(placed(lowering, node, part) for part in parts))
        return True
    axes = list(range(rank))
    if kind == "aten.permute.default":
        axes = [axis % rank for axis in a.dims]
    elif kind in ("aten.transpose.int", "aten.swapaxes.default"):
        first, second = (a.dim0, a.dim1) if hasattr(a, "dim0") else (a.axis0, a.axis1)
        axes[first], axes[second] = axes[second], axes[first]
    elif kind not in KEEPING:
        return False
    inner = [axis - (axis > made.batch) for axis in axes if axis != made.batch]
    turned = replace(made, places=made.places.transpose(inner), batch=axes.index(made.batch))
    if not turned.batch:
        turned = replace(turned, places=turned.places.reshape(shape_of(node)))
    elif kind in KEEPING - SAME_SHAPE:
        lowering.source(node.args[0])  # where the batch must be first
    lowering.alias(node, placed(lowering, node, turned))
    return True


def _parts(made: Regrouped, axis: int, indices: list[int] | None) -> list[Regrouped]:
    """The parts of those indices along an axis, all of them for None, without the axis."""
    if axis == made.batch:
        raise ValueError("the batch must stay whole: take parts along another axis")
    inner, batch = axis - (axis > made.batch), made.batch - (axis < made.batch)
    chosen = range(made.places.shape[inner]) if indices is None else indices
    return [replace(made, places=made.places.take([index], inner).squeeze(inner), batch=batch) for index in chosen]


def placed(lowering: Lowering, node: fx.Node, made: Regrouped) -> Made:
    """The layer that puts codes in that order, behind others if need be; `made` while there are more axes."""
    shape = made.places.shape
    if made.batch or len(shape) > MOST_AXES:
        return made
    if made.places.size < math.prod(made.shape):
        made = _cut(lowering, node, made)
    if np.array_equal(made.places.reshape(-1), np.arange(made.places.size)):
        return made.source if made.shape == shape else _reshaped(lowering, node, made.source, shape)
    layer = _layer(lowering.unique(node), made)
    if layer is not None:
        ordered = lowering.add(node, layer[0])
        return ordered if layer[1] == shape else _reshaped(lowering, node, ordered, shape)
    order = _axes(made.places)
    if order is None:
        raise ValueError(
            "an order by way of more than 4 axes must be one along a single axis, such as a channel shuffle, or of the "
            "axes of its result, or a pixel shuffle or unshuffle: go by reshapes and transposes of at most 4 axes"
        )
    between, ordered = tuple(shape[axis] for axis in order), made.source
    if between != made.shape:
        ordered = _reshaped(lowering, node, ordered, between)
    axes = (0, *(order.index(axis) + 1 for axis in range(len(order))))
    return lowering.add(node, Transpose(lowering.unique(node), ordered, axes))


def _reshaped(lowering: Lowering, node: fx.Node, source: str, shape: tuple[int, ...]) -> str:
    return lowering.add(node, Reshape(lowering.unique(node), source, shape))


def _cut(lowering: Lowering, node: fx.Node, made: Regrouped) -> Regrouped:
    """Codes that are a part of a layer's, as all codes of a `Slice` of it."""
    coordinates = list(np.unravel_index(made.places, made.shape))
    used = [np.unique(each) for each in coordinates]
    cut = [axis for axis, size in enumerate(made.shape) if len(used[axis]) < size]
    shape = tuple(map(len, used))
    if len(cut) == 1 and math.prod(shape) == made.places.size:
        (axis,) = cut
        first, last = int(used[axis][0]), int(used[axis][-1])
        step = (last - first) // max(shape[axis] - 1, 1) or 1
        places = range(first, last + 1, step)
        if np.array_equal(used[axis], places):
            source = lowering.add(node, Slice(lowering.unique(node), made.source, axis + 1, places))
            coordinates[axis] = (coordinates[axis] - first) // step
            return Regrouped(source, shape, np.ravel_multi_index(coordinates, shape).astype(np.int64))
    raise ValueError(
        "a part of a tensor of more than 4 axes must be one along a single axis of what was reshaped: cut that"
    )


def _axes(places: NDArray[np.int64]) -> list[int] | None:
    """The order of axes in which the codes are those of a layer in its own order; None where no order is."""
    steps = [
        int(line[1] - line[0]) if len(line) > 1 else 0
        for line in (np.moveaxis(places, axis, 0).reshape(places.shape[axis], -1)[:, 0] for axis in range(places.ndim))
    ]
    order = sorted(range(places.ndim), key=lambda axis: -steps[axis])
    return order if np.array_equal(places.transpose(order).reshape(-1), np.arange(places.size)) else None


def _layer(name: str, made: Regrouped) -> tuple[Layer, tuple[int, ...]] | None:
    """The only layer that makes this order, and the shape of its result; None where there is none."""
    numbers = np.arange(made.places.size).reshape(made.shape)
    order = made.places.reshape(made.shape)
    for axis in range(order.ndim):
        line = np.moveaxis(order, axis, 0).reshape(order.shape[axis], -1)[:, 0]
        places = np.unravel_index(line, made.shape)[axis]
        if np.array_equal(numbers.take(places, axis), order):
            return Gather(name, made.source, axis + 1, places.tolist()), made.shape
    if order.ndim == made.places.ndim == 3:
        (depth, height, width), (_, rows, _) = made.shape, made.places.shape
        up, down = rows // height, height // rows
        candidates: list[PixelShuffle] = []
        if up > 1 and depth % up**2 == 0:
            candidates = [PixelShuffle(name, made.source, up)]
        elif down > 1 and height % down == 0 and width % down == 0:
            candidates = [PixelUnshuffle(name, made.source, down)]
        for layer in candidates:
            found = layer.real([torch.from_numpy(numbers).unsqueeze(0)], nn.Module())[0].numpy()
            if np.array_equal(found, made.places):
                return layer, made.places.shape
    return None
