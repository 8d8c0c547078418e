"""The larger of two codes at each place: two tensors side by side, and a max pool over the pair."""

from __future__ import annotations

import math

from emulator.graph import Concat, MaxPool, Reshape, Tensor

from .graph_builder import GraphBuilder
from .rearrange import kept


def larger(builder: GraphBuilder, a: Tensor, b: Tensor, name: str) -> Tensor:
    """max(a, b) of two tensors of one shape, scale and zero point, code by code."""
    size = math.prod(a.shape[:-1])
    columns = [builder.add(_as(builder, each, (size, 1, a.shape[-1]))) for each in (a, b)]
    fields = kept(a) | {
        "inputs": tuple(column.name for column in columns),
        "y_min": min(a.y_min, b.y_min),
        "y_max": max(a.y_max, b.y_max),
    }
    pair = builder.add(Concat(name=builder.unique(f"{name}/pair"), shape=(size, 2, a.shape[-1]), **fields, axis=2))
    return larger_of_pairs(builder, pair, a.shape, name)


def larger_of_pairs(builder: GraphBuilder, pair: Tensor, shape: tuple[int, ...], name: str) -> Tensor:
    """The larger code of each pair: `pair` holds, place by place, the channels of the one and then of the other.

    shape : of the result, stored
    """
    size = math.prod(shape[:-1])
    if pair.shape != (size, 2, shape[-1]):
        pair = builder.add(_as(builder, pair, (size, 2, shape[-1])))
    final = (size, 1, shape[-1])
    most = builder.add(
        MaxPool(
            name=name if final == shape else builder.unique(f"{name}/larger"),
            shape=final,
            **kept(pair),
            kernel=(1, 2),
            strides=(1, 2),
        )
    )
    return most if final == shape else builder.add(Reshape(name=name, shape=shape, **kept(most)))


def _as(builder: GraphBuilder, x: Tensor, shape: tuple[int, ...]) -> Reshape:
    return Reshape(name=builder.unique(f"{x.name}/side"), shape=shape, **kept(x))
