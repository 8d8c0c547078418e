"""Padding along any axis but the batch's: with a code, or with the tensor's own elements."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from emulator.graph import Concat, ConstantTensor, Pad, Tensor, logical_shape, stored_shape

from ..graph_builder import GraphBuilder
from ..sizes import check_elements
from .rearrange import gathered, in_logical_order, kept, sliced, stored_axes

Borders = Sequence[tuple[int, int]]
"""Positions before and behind each logical axis but the batch's; negative ones are cut off."""


def padded(builder: GraphBuilder, x: Tensor, borders: Borders, code: int, name: str) -> Tensor:
    """`x` with `code` around it; rows and columns of its zero point are a `Pad`."""
    shape = logical_shape(x.shape)
    sizes = tuple(size + before + behind for size, (before, behind) in zip(shape, borders, strict=True))
    if min(sizes) < 1:
        raise ValueError(f"pads must leave some of each axis, not make the sizes {sizes}")
    check_elements(sizes, "the padded tensor")
    wanted = [(max(before, 0), max(behind, 0)) for before, behind in borders]
    axes = [axis for axis, pair in enumerate(borders, 1) if min(pair) < 0]
    for axis in axes:
        before, behind = borders[axis - 1]
        places = range(max(-before, 0), shape[axis - 1] - max(-behind, 0))
        final = axis == axes[-1] and not any(map(any, wanted))
        x = sliced(builder, x, axis, places, name if final else builder.unique(f"{name}/cut"))
    if not any(map(any, wanted)):
        return x
    codes = {"y_min": min(x.y_min, code), "y_max": max(x.y_max, code)}
    if code == x.zero_point and len(shape) in (2, 3) and not any(wanted[0]):
        (top, bottom), (left, right) = ((0, 0), *wanted[1:])[-2:]
        result = stored_shape(sizes)
        return builder.add(Pad(name=name, shape=result, **kept(x) | codes, padding=(top, left, bottom, right)))
    x = in_logical_order(builder, x)
    last = max(axis for axis, pair in enumerate(wanted, 1) if any(pair))
    for axis, pair in enumerate(wanted, 1):
        if any(pair):
            x = _framed(builder, x, axis, pair, code, name if axis == last else builder.unique(f"{name}/{axis}"))
    return x


def extended(builder: GraphBuilder, x: Tensor, borders: Borders, mode: str, name: str) -> Tensor:
    """`x` with its own elements around it: ``edge``, ``reflect`` (without the edge) or ``wrap``."""
    axes = [axis for axis, pair in enumerate(borders, 1) if any(pair)]
    for axis in axes:
        (before, behind), size = borders[axis - 1], logical_shape(x.shape)[axis - 1]
        check_elements((size + max(before, 0) + max(behind, 0),), "the padded axis")
        if mode == "reflect" and max(before, behind) >= size:
            raise ValueError(
                f"pads must be below the {size} elements of axis {axis} to reflect them, not {before, behind}"
            )
        places = [_place(index, size, mode) for index in range(-before, size + behind)]
        if not places:
            raise ValueError(f"pads must leave some of axis {axis}, not {before, behind} of {size}")
        x = gathered(builder, x, axis, places, name if axis == axes[-1] else builder.unique(f"{name}/{axis}"))
    return x


def _place(index: int, size: int, mode: str) -> int:
    if mode == "wrap":
        return index % size
    if mode == "edge":
        return min(max(index, 0), size - 1)
    index = abs(index)
    return index if index < size else 2 * (size - 1) - index


def _framed(builder: GraphBuilder, x: Tensor, axis: int, pair: tuple[int, int], code: int, name: str) -> Tensor:
    place = stored_axes(x).index(axis)
    parts = [x]
    for index, count in enumerate(pair):
        if count:
            shape = (*x.shape[: place - 1], count, *x.shape[place:])
            check_elements(shape, "the padding")
            fields = kept(x) | {"inputs": (), "y_min": code, "y_max": code}
            label = builder.unique(f"{name}/{('before', 'behind')[index]}")
            block = ConstantTensor(name=label, shape=shape, **fields, codes=np.full(shape, code, np.int8))
            parts.insert(0 if index == 0 else len(parts), builder.add(block))
    shape = (*x.shape[: place - 1], x.shape[place - 1] + sum(pair), *x.shape[place:])
    fields = kept(x) | {
        "inputs": tuple(part.name for part in parts),
        "y_min": min(x.y_min, code),
        "y_max": max(x.y_max, code),
    }
    return builder.add(Concat(name=name, shape=shape, **fields, axis=place))
