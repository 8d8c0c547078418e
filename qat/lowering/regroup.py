"""`Regrouped`: reshapes to more than four axes, which stand between two layers and are none.

A channel shuffle is often written as a reshape to five axes, a transpose and a reshape back. What stands between says
where each code comes from; from that the last reshape finds the layer.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from torch import fx, nn

from ..layers.layer import Layer
from ..layers.moves import Reshape
from ..layers.orders import Gather, PixelShuffle, PixelUnshuffle
from .arguments import Arguments, shape_of
from .context import Lowering
from .made import Regrouped

MOST_AXES = 3
KEEPING = frozenset(
    f"aten.{name}"
    for name in (
        "alias.default", "clone.default", "contiguous.default", "detach.default", "flatten.using_ints",
        "reshape.default", "squeeze.dim", "squeeze.dims", "unflatten.int", "unsqueeze.default", "view.default",
        "_unsafe_view.default",
    )
)  # fmt: skip


def regrouped(source: str, before: tuple[int, ...], shape: tuple[int, ...]) -> Regrouped:
    """The codes of a layer under another shape."""
    return Regrouped(source, before, np.arange(math.prod(before)).reshape(shape))


def handled(lowering: Lowering, node: fx.Node, kind: str, made: Regrouped, a: Arguments) -> bool:
    """Lower an operator of that kind, which moves the codes that it reads first; whether it is one."""
    axes = list(range(made.places.ndim + 1))
    if kind == "aten.permute.default":
        axes = [axis % len(axes) for axis in a.dims]
    elif kind in ("aten.transpose.int", "aten.swapaxes.default"):
        first, second = (a.dim0, a.dim1) if hasattr(a, "dim0") else (a.axis0, a.axis1)
        axes[first], axes[second] = axes[second], axes[first]
    elif kind not in KEEPING:
        return False
    if axes[0] != 0:
        raise ValueError("the batch must stay the first axis: permute the axes behind it")
    places = made.places.transpose([axis - 1 for axis in axes[1:]]).reshape(shape_of(node))
    add_regrouped(lowering, node, replace(made, places=places))
    return True


def add_regrouped(lowering: Lowering, node: fx.Node, made: Regrouped) -> None:
    """The layer that puts codes in that order, and a `Reshape` behind it if need be; none while there are more axes."""
    shape = made.places.shape
    if len(shape) > MOST_AXES:
        lowering.alias(node, made)
        return
    ordered, reached = made.source, made.shape
    if not np.array_equal(made.places.reshape(-1), np.arange(made.places.size)):
        layer, reached = _layer(lowering.unique(node), made)
        ordered = lowering.add(node, layer)
    if reached != shape:
        lowering.add(node, Reshape(lowering.unique(node), ordered, shape))
    else:
        lowering.alias(node, ordered)


def _layer(name: str, made: Regrouped) -> tuple[Layer, tuple[int, ...]]:
    """The layer that makes this order, and the shape of its result."""
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
    raise ValueError(
        "an order by way of more than 4 axes must be one along a single axis, such as a channel shuffle, or a pixel "
        "shuffle or unshuffle: go by reshapes and transposes of at most 4 axes"
    )
