"""Flatten, Reshape, Squeeze and Unsqueeze: codes regrouped, never computed; Identity and Dropout, which vanish."""

from __future__ import annotations

import math

from onnx import TensorProto

from emulator.graph import Tensor, logical_shape

from ....reading.graph_builder import GraphBuilder
from ....reading.moves.rearrange import reshaped
from ....reading.values import Value
from ...environment import Environment
from ...operator import Operator
from ...tensor import type_name

BATCH = -2  # an entry of a Reshape's shape that is the size of the batch, whatever that is

MOST_AXES = 8
"""Of a tensor between two layers: axes are taken apart, moved and put together."""


def lower_flatten(env: Environment, op: Operator) -> Value:
    """Flatten with axis 1: one vector per image."""

    def apply(builder: GraphBuilder, x: Tensor, name: str) -> Tensor:
        axis = op.integer("axis", 1)
        if axis not in (1, -len(x.shape)):
            raise ValueError(f"axis must be 1, not {axis} (the batch must stay)")
        return reshaped(builder, x, (math.prod(x.shape),), name)

    return env.moved(op, apply)


def lower_reshape(env: Environment, op: Operator) -> Value:
    """Reshape to a constant shape that keeps the batch: its first entry is 0, −1 or the file's fixed batch size."""
    sizes = env.sizes(op, 1, "shape") or ()
    wanted = [BATCH if size is None else size for size in sizes]

    def apply(builder: GraphBuilder, x: Tensor, name: str) -> Tensor:
        return reshaped(builder, x, _resolved(wanted, x, op, env.batch), name)

    return env.moved(op, apply)


def lower_squeeze(env: Environment, op: Operator) -> Value:
    """Squeeze of constant axes of size 1 that leave the batch and another one."""
    axes = env.integers(op, 1, "axes")

    def apply(builder: GraphBuilder, x: Tensor, name: str) -> Tensor:
        shape = logical_shape(x.shape)
        rank = len(shape) + 1
        if axes is None or any(not -rank <= axis < rank for axis in axes):
            raise ValueError(f"axes must be constants from {-rank} to {rank - 1}, not {axes}")
        dropped = {axis % rank for axis in axes}
        wrong = [axis for axis in sorted(dropped) if axis == 0 or shape[axis - 1] != 1]
        if wrong or len(dropped) == len(shape):
            raise ValueError(f"only axes of size 1 that leave (batch, …) can be squeezed, not {axes} of {shape}")
        return reshaped(builder, x, tuple(n for axis, n in enumerate(shape, 1) if axis not in dropped), name)

    return env.moved(op, apply)


def lower_unsqueeze(env: Environment, op: Operator) -> Value:
    """Unsqueeze: constant axes of size 1 behind the batch."""
    axes = env.integers(op, 1, "axes") or ()

    def apply(builder: GraphBuilder, x: Tensor, name: str) -> Tensor:
        shape = list(logical_shape(x.shape))
        rank = len(shape) + 1 + len(axes)
        if rank > MOST_AXES:
            raise ValueError(f"the result must have at most {MOST_AXES} axes, not {rank}")
        places = sorted({axis % rank for axis in axes if -rank <= axis < rank})
        if len(places) < len(axes) or 0 in places:
            raise ValueError(f"axes must differ and be from 1 to {rank - 1} or from {1 - rank} to -1, not {axes}")
        for place in places:
            shape.insert(place - 1, 1)
        return reshaped(builder, x, tuple(shape), name)

    return env.moved(op, apply)


def lower_identity(env: Environment, op: Operator) -> Value:
    """Identity: the same value."""
    return env.value(op.input(0))


def lower_cast(env: Environment, op: Operator) -> Value:
    """Cast of real numbers, or of the sums of ConvInteger or MatMulInteger, to a float type: the same numbers."""
    if op.integer("to", 0) not in (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE):
        raise ValueError(f"activations can be cast to FLOAT only, not to {type_name(op.integer('to', 0))}")
    return env.real(op, 0)


def lower_dropout(env: Environment, op: Operator) -> Value:
    """Dropout outside training: the same value."""
    if op.input(2) and env.scalar(op, 2) not in (0, False):
        raise ValueError("training_mode must be false")
    if len(op.outputs) > 1 and op.outputs[1]:
        raise ValueError(f"the output of the mask, {op.outputs[1]!r}, is not supported")
    return env.value(op.input(0))


def _resolved(wanted: list[int], x: Tensor, op: Operator, batch: int | None) -> tuple[int, ...]:
    """The logical shape without the batch that `wanted` asks for."""
    logical = logical_shape(x.shape)
    if not 2 <= len(wanted) <= MOST_AXES:
        raise ValueError(f"shape must have 2 to {MOST_AXES} entries, not {wanted}")
    copies = not op.integer("allowzero", 0)
    first, rest = wanted[0], wanted[1:]
    if not (first == BATCH or (first == 0 and copies) or first == -1 or (batch is not None and first == batch)):
        raise ValueError(f"shape must keep the batch as its first entry (0 or −1), not {wanted}")
    if copies:
        rest = [logical[i] if size == 0 and i < len(logical) else size for i, size in enumerate(rest)]
    count = math.prod(logical)
    if -1 in rest and first != -1:
        known = -math.prod(rest)
        rest = [count // known if size == -1 and known > 0 else size for size in rest]
    if any(size < 1 for size in rest) or math.prod(rest) != count:
        raise ValueError(f"shape must keep the batch and its {count} elements each, not be {wanted}")
    return tuple(rest)
