"""ReduceMean, ReduceSum and ReduceMax over any axes but the batch's."""

from __future__ import annotations

from emulator.graph import Tensor, logical_shape

from ....reading.graph_builder import GraphBuilder
from ....reading.pools.pool import whole_window
from ....reading.pools.reduce import reduced_max, reduced_mean, without_axes
from ....reading.products.affine import mean_of_affine
from ....reading.products.convolution import ConvolutionSource
from ....reading.values import Value
from ...environment import Environment
from ...operator import Operator


def lower_reduce(env: Environment, op: Operator) -> Value:
    """ReduceMean or ReduceSum: a pool that rounds once; keepdims = 0 drops the axes behind it."""
    axes = env.integers(op, 1, "axes")
    if not axes and op.integer("noop_with_empty_axes", 0):
        return env.real(op, 0)
    real, keep = env.real(op, 0), bool(op.integer("keepdims", 1))
    if real.bare and isinstance(real.source, ConvolutionSource) and op.type == "ReduceMean":
        x = real.source.x
        places = _places(op, axes, len(x.shape) + 1)
        if 1 not in places:
            mean = mean_of_affine(env.builder.arithmetic, real.source, whole_window(x, places))
            if mean is not None:
                return without_axes(op, mean, logical_shape(x.shape), places, keep)
    x = env.operand(op, 0)
    places = _places(op, axes, len(x.shape) + 1)
    return reduced_mean(env.builder, op, x, places, keep, op.type == "ReduceSum")


def lower_reduce_max(env: Environment, op: Operator) -> Value:
    """ReduceMax: the largest code."""
    axes = env.integers(op, 1, "axes")

    def apply(builder: GraphBuilder, x: Tensor, name: str) -> Tensor:
        places = _places(op, axes, len(x.shape) + 1)
        return reduced_max(builder, x, places, bool(op.integer("keepdims", 1)), name)

    return env.moved(op, apply)


def _places(op: Operator, axes: tuple[int, ...] | None, rank: int) -> set[int]:
    """The axes, counted from the front."""
    if not axes:
        raise ValueError("has no axes, so it would reduce the batch too; only axes behind the batch can be reduced")
    if not all(-rank <= axis < rank for axis in axes):
        raise ValueError(f"axes must be from {-rank} to {rank - 1}, not {axes}")
    places = {axis % rank for axis in axes}
    if 0 in places:
        raise ValueError(f"only axes behind the batch can be reduced, not axes {axes}")
    if not op.integer("keepdims", 1) and len(places) == rank - 1:
        raise ValueError("one number of a sample is not a tensor with a batch; keepdims must be 1")
    return places
