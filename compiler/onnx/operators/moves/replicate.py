"""Tile and Expand: codes read more than once."""

from __future__ import annotations

from emulator.graph import Tensor, logical_shape

from ....reading.graph_builder import GraphBuilder
from ....reading.moves.rearrange import gathered
from ....reading.sizes import check_elements
from ....reading.values import Value
from ...environment import Environment
from ...operator import Operator


def lower_tile(env: Environment, op: Operator) -> Value:
    """Tile with constant repeats of all axes but the batch's."""
    repeats = env.integers(op, 1, "repeats") or ()

    def apply(builder: GraphBuilder, x: Tensor, name: str) -> Tensor:
        shape = logical_shape(x.shape)
        if len(repeats) != len(shape) + 1 or min(repeats) < 1 or repeats[0] != 1:
            raise ValueError(f"repeats must be 1 and {len(shape)} integers of at least 1, not {repeats}")
        places = [list(range(size)) * times for size, times in zip(shape, _checked(shape, repeats[1:]), strict=True)]
        return _taken(builder, x, places, name)

    return env.moved(op, apply)


def lower_expand(env: Environment, op: Operator) -> Value:
    """Expand to a constant shape that keeps the number of axes and the batch."""
    wanted = env.integers(op, 1, "shape") or ()

    def apply(builder: GraphBuilder, x: Tensor, name: str) -> Tensor:
        shape = logical_shape(x.shape)
        sizes = (1,) * (len(shape) + 1 - len(wanted)) + wanted
        if len(sizes) != len(shape) + 1 or sizes[0] not in (1, env.batch):
            raise ValueError(f"shape must keep the batch and the {len(shape)} axes behind it, not be {wanted}")
        if any(new < 1 or (new != old and 1 not in (new, old)) for new, old in zip(sizes[1:], shape, strict=True)):
            raise ValueError(f"shape must broadcast with {shape} (without the batch), not be {wanted}")
        times = [max(new // old, 1) for new, old in zip(sizes[1:], shape, strict=True)]
        return _taken(
            builder, x, [[*range(size)] * n for size, n in zip(shape, _checked(shape, times), strict=True)], name
        )

    return env.moved(op, apply)


def _checked(shape: tuple[int, ...], times: list[int] | tuple[int, ...]) -> list[int]:
    check_elements(tuple(size * n for size, n in zip(shape, times, strict=True)), "the repeated tensor")
    return list(times)


def _taken(builder: GraphBuilder, x: Tensor, places: list[list[int]], name: str) -> Tensor:
    shape = logical_shape(x.shape)
    changed = [axis for axis, (each, size) in enumerate(zip(places, shape, strict=True), 1) if len(each) != size]
    for axis in changed:
        x = gathered(
            builder, x, axis, places[axis - 1], name if axis == changed[-1] else builder.unique(f"{name}/{axis}")
        )
    return x
