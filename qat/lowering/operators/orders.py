"""What operators become that put codes in another order: shuffles and flips."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import fx

from ..arguments import Arguments, shape_of
from ..context import Lowering
from ..made import Regrouped
from ..registry import handles
from ..regroup import placed


def numbered(a: Arguments) -> NDArray[np.int64]:
    """The places of an input's codes, in its shape."""
    shape = shape_of(a.self)
    return np.arange(math.prod(shape)).reshape(shape)


def ordered(lowering: Lowering, node: fx.Node, a: Arguments, places: NDArray[np.int64]) -> None:
    lowering.alias(node, placed(lowering, node, Regrouped(lowering.source(a.self), shape_of(a.self), places)))


@handles("channel_shuffle.default", "native_channel_shuffle.default")
def channel_shuffle(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    places = numbered(a)
    groups = places.reshape(a.groups, places.shape[0] // a.groups, *places.shape[1:])
    ordered(lowering, node, a, groups.swapaxes(0, 1).reshape(places.shape))


@handles("pixel_shuffle.default", "pixel_unshuffle.default")
def pixel_shuffle(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    places = torch.from_numpy(numbered(a))
    if hasattr(a, "upscale_factor"):
        ordered(lowering, node, a, F.pixel_shuffle(places, a.upscale_factor).numpy())
    else:
        ordered(lowering, node, a, F.pixel_unshuffle(places, a.downscale_factor).numpy())


@handles("flip.default")
def flip(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    rank = len(shape_of(a.self)) + 1
    axes = [axis % rank for axis in a.dims]
    if 0 in axes:
        raise ValueError("the batch must stay in its order: flip the axes behind it")
    ordered(lowering, node, a, np.flip(numbered(a), tuple(axis - 1 for axis in axes)))
