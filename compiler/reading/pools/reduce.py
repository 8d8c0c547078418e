"""Sums, means and maxima over any axes but the batch's: a pool over the length of a sequence that holds them."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import replace

import numpy as np

from emulator.graph import Tensor, logical_shape

from ..graph_builder import GraphBuilder
from ..moves.rearrange import in_logical_order, reshaped, transposed
from ..origin import Origin
from ..values import Move, Real
from .pool import AveragePoolSource, average_pool, max_pool, whole_window


def reduced_mean(
    builder: GraphBuilder, op: Origin, x: Tensor, places: Collection[int], keep: bool, total: bool = False
) -> Real:
    """The mean over logical axes `places`, the batch being axis 0, or with `total` the sum, with one rounding."""
    shape = logical_shape(x.shape)
    within = len(shape) in (2, 3) and 1 not in places
    rows = x if within else _rows(builder, x, places, f"{op.label}/rows")
    mean = average_pool(builder, op, rows, whole_window(rows, places if within else (2,)))
    source = mean.source
    if total and isinstance(source, AveragePoolSource):
        mean = replace(mean, source=replace(source, counts=np.ones_like(source.counts)))
    return mean if within and keep else without_axes(op, mean, shape, places, keep)


def without_axes(op: Origin, mean: Real, shape: tuple[int, ...], places: Collection[int], keep: bool) -> Real:
    """`mean`, of one position along `places`, in the shape that a reduction of `shape` has."""
    left = _left(shape, places, keep)
    return mean.moved(Move(op, lambda builder, tensor, name: reshaped(builder, tensor, left, name)))


def reduced_max(builder: GraphBuilder, x: Tensor, places: Collection[int], keep: bool, name: str) -> Tensor:
    """The largest code over logical axes `places`, the batch being axis 0."""
    shape = logical_shape(x.shape)
    within = len(shape) in (2, 3) and 1 not in places
    rows = x if within else _rows(builder, x, places, f"{name}/rows")
    left = _left(shape, places, keep)
    final = within and keep
    label = name if final else builder.unique(f"{name}/largest")
    most = max_pool(builder, rows, label, whole_window(rows, places if within else (2,)))
    return reshaped(builder, most, left, name)


def _left(shape: tuple[int, ...], places: Collection[int], keep: bool) -> tuple[int, ...]:
    """The logical shape behind the reduction; one number of each sample is a vector of one."""
    if keep:
        return tuple(1 if axis in places else size for axis, size in enumerate(shape, 1))
    return tuple(size for axis, size in enumerate(shape, 1) if axis not in places) or (1,)


def _rows(builder: GraphBuilder, x: Tensor, places: Collection[int], name: str) -> Tensor:
    """`x` as a sequence: what is reduced along its length, the rest as its channels."""
    x = in_logical_order(builder, x)
    shape = logical_shape(x.shape)
    kept = [axis for axis in range(1, len(shape) + 1) if axis not in places]
    order = (0, *kept, *sorted(places))
    if order != tuple(range(len(order))):
        x = transposed(builder, x, order, builder.unique(f"{name}/order"))
    length = math.prod(shape[axis - 1] for axis in places)
    return reshaped(builder, x, (math.prod(shape) // length, length), builder.unique(name))
