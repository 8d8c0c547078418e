"""Gather, DepthToSpace and SpaceToDepth: codes in an order that the node says."""

from __future__ import annotations

from emulator.graph import Tensor, logical_shape

from ....reading.graph_builder import GraphBuilder
from ....reading.moves.rearrange import checked_axis, gathered, in_steps, reshaped
from ....reading.sizes import check_elements
from ....reading.values import Value
from ...environment import Environment
from ...operator import Operator


def lower_gather(env: Environment, op: Operator) -> Value:
    """Gather with constant indices along an axis other than the batch's; a scalar drops the axis."""
    constant = env.plain(op, 1, "indices")
    if constant is None or constant.values.size < 1:
        raise ValueError("indices must be constants, at least one")
    indices, axes = [int(index) for index in constant.integers.reshape(-1)], constant.values.shape

    def apply(builder: GraphBuilder, x: Tensor, name: str) -> Tensor:
        axis = checked_axis(op.integer("axis", 0), len(x.shape) + 1)
        logical = logical_shape(x.shape)
        size, shape = logical[axis - 1], (*logical[: axis - 1], *axes, *logical[axis:])
        wrong = [index for index in indices if not -size <= index < size]
        if wrong:
            raise ValueError(f"indices must be from {-size} to {size - 1}, not {wrong[0]}")
        if not shape:
            raise ValueError("one number of a vector is not a tensor with a batch; indices must have one axis")
        label = name if len(axes) == 1 or (not axes and size == 1) else builder.unique(f"{name}/kept")
        check_elements(shape, "the gathered tensor")
        x = gathered(builder, x, axis, [index % size for index in indices], label)
        return x if len(axes) == 1 else reshaped(builder, x, shape, name)

    return env.moved(op, apply)


def lower_depth_to_space(env: Environment, op: Operator) -> Value:
    """DepthToSpace, in both modes: blocks of channels become blocks of pixels."""
    size = _block_size(op)
    mode = op.text("mode", "DCR")
    if mode not in ("DCR", "CRD"):
        raise ValueError(f"mode must be 'DCR' or 'CRD', not {mode!r}")

    def apply(builder: GraphBuilder, x: Tensor, name: str) -> Tensor:
        height, width, depth = _map_shape(x)
        if depth % size**2:
            raise ValueError(f"blocksize² must divide the {depth} channels, not be {size**2}")
        depth //= size**2
        steps: list[tuple[str, tuple[int, ...]]] = []
        if mode == "CRD":  # a channel's block lies together: bring each of its places together
            steps += [("shape", (height, width, depth, size**2)), ("axes", (0, 1, 2, 4, 3))]
        steps += [("shape", (height, width, size, size * depth)), ("axes", (0, 1, 3, 2, 4))]
        return in_steps(builder, x, [*steps, ("shape", (height * size, width * size, depth))], name)

    return env.moved(op, apply)


def lower_space_to_depth(env: Environment, op: Operator) -> Value:
    """SpaceToDepth: blocks of pixels become blocks of channels, the pixels of all channels side by side."""
    op.only("mode", "DCR", "a channel's pixels side by side are a Transpose and two Reshapes")
    size = _block_size(op)

    def apply(builder: GraphBuilder, x: Tensor, name: str) -> Tensor:
        height, width, depth = _map_shape(x)
        if height % size or width % size:
            raise ValueError(f"blocksize must divide the map of {height}×{width}, not be {size}")
        height, width = height // size, width // size
        steps: list[tuple[str, tuple[int, ...]]] = [("shape", (height, size, width, size * depth))]
        steps += [("axes", (0, 1, 3, 2, 4)), ("shape", (height, width, size**2 * depth))]
        return in_steps(builder, x, steps, name)

    return env.moved(op, apply)


def _block_size(op: Operator) -> int:
    size = op.integer("blocksize", 0)
    if size < 1:
        raise ValueError(f"blocksize must be at least 1, not {size}")
    return size


def _map_shape(x: Tensor) -> tuple[int, int, int]:
    """(height, width, channels) of a map."""
    if len(x.shape) != 3:
        raise ValueError(f"its input must be a batch of maps, not {logical_shape(x.shape)} in each sample")
    height, width, depth = x.shape
    return height, width, depth
