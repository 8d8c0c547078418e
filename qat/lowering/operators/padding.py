"""What paddings become: zeros around maps and sequences, or codes that stand elsewhere in them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from torch import fx

from ...layers.moves import Pad
from ..arguments import Arguments, shape_of
from ..context import Lowering
from ..registry import handles
from .gathers import add_gather
from .moves import add_reshape, add_slice, add_transpose

Places = Callable[[int, int, int], NDArray[np.int64]]  # (before, size, behind) → the places that are read

PLACES: dict[str, Places] = {
    "circular": lambda before, size, behind: np.arange(-before, size + behind) % size,
    "reflect": lambda before, size, behind: size - 1 - np.abs(size - 1 - np.abs(np.arange(-before, size + behind))),
    "replicate": lambda before, size, behind: np.arange(-before, size + behind).clip(0, size - 1),
}


@handles("pad.default", "constant_pad_nd.default")
def pad(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    """Negative numbers cut positions off."""
    shape, name, mode = shape_of(a.self), lowering.source(a.self), getattr(a, "mode", "constant")
    pairs = {len(shape) - i // 2: (a.pad[i], a.pad[i + 1]) for i in range(0, len(a.pad), 2)}  # by axis, the last first
    if pairs.get(0, (0, 0)) != (0, 0):
        raise ValueError("the batch cannot be padded: pad the other axes only")
    if mode == "constant" and a.value not in (None, 0):
        raise ValueError(
            f"only zeros can surround a tensor, not {a.value}: subtract it before, pad with zeros, add it behind"
        )
    if mode != "constant":
        for axis, (before, behind) in pairs.items():
            size = shape[axis - 1]
            name = add_gather(lowering, node, name, axis, PLACES[mode](before, size, behind).tolist(), size)
        lowering.alias(node, name)
        return
    sizes = list(shape)
    for axis, (before, behind) in pairs.items():
        cut = range(max(-before, 0), sizes[axis - 1] - max(-behind, 0))
        name = add_slice(lowering, node, name, tuple(sizes), axis, cut)
        sizes[axis - 1] = len(cut)
    added = {axis: (max(before, 0), max(behind, 0)) for axis, (before, behind) in pairs.items()}
    name = add_zeros(lowering, node, name, tuple(sizes), added)
    lowering.alias(node, name)


def add_zeros(
    lowering: Lowering, node: fx.Node, name: str, shape: tuple[int, ...], added: dict[int, tuple[int, int]]
) -> str:
    """Zeros before and behind along axes; those of a vector, and those of channels, by way of another axis."""
    if len(shape) == 1:
        if any(added.get(1, (0, 0))):
            name = add_reshape(lowering, node, name, shape, (1, *shape))
            name = add_zeros(lowering, node, name, (1, *shape), {2: added[1]})
            name = add_reshape(lowering, node, name, (), (shape[0] + sum(added[1]),))
        return name
    (top, bottom), (left, right) = (
        (added.get(axis, (0, 0)) for axis in (2, 3)) if len(shape) == 3 else ((0, 0), added.get(2, (0, 0)))
    )
    if any((top, left, bottom, right)):
        name = lowering.add(node, Pad(lowering.unique(node), name, (top, left, bottom, right)))
    if any(added.get(1, (0, 0))):
        order = [0, 2, 1, 3][: len(shape) + 1]
        grown = (
            shape[0],
            shape[1] + sum(added.get(2, (0, 0))),
            *(size + sum(added.get(3, (0, 0))) for size in shape[2:]),
        )
        name = add_transpose(lowering, node, name, grown, order)
        turned = (grown[1], grown[0], *grown[2:])
        name = add_zeros(lowering, node, name, turned, {2: added[1]})
        name = add_transpose(lowering, node, name, (turned[0], turned[1] + sum(added[1]), *turned[2:]), order)
    return name
