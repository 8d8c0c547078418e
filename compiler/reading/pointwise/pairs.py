"""The larger of two codes at each place: two tensors one behind the other, and a max pool over the pair."""

from __future__ import annotations

import math

from emulator.graph import Concat, MaxPool, Reshape, Tensor

from ..graph_builder import GraphBuilder
from ..moves.rearrange import kept


def larger(builder: GraphBuilder, a: Tensor, b: Tensor, name: str) -> Tensor:
    """max(a, b) of two tensors of one shape, scale and zero point, code by code."""
    fields = kept(a) | {"inputs": (a.name, b.name), "y_min": min(a.y_min, b.y_min), "y_max": max(a.y_max, b.y_max)}
    behind = (2 * a.shape[0], *a.shape[1:])
    both = builder.add(Concat(name=builder.unique(f"{name}/both"), shape=behind, **fields, axis=1))
    lines = (math.prod(a.shape[:-1]), a.shape[-1])
    pairs = builder.add(Reshape(name=builder.unique(f"{name}/pairs"), shape=(2, *lines), **kept(both)))
    label = builder.unique(f"{name}/larger")
    most = builder.add(MaxPool(name=label, shape=(1, *lines), **kept(pairs), kernel=(2, 1), strides=(2, 1)))
    return builder.ordered_as(builder.add(Reshape(name=name, shape=a.shape, **kept(most))), a)
