"""Flatten, Reshape and Squeeze: codes regrouped, never computed; Identity and Dropout, which vanish."""

from __future__ import annotations

import math

from emulator.graph import Reshape, Tensor

from .graph_builder import GraphBuilder
from .onnx_tensor import Constant
from .operator_node import Operator
from .values import Environment, QuantizedConstant, Value


def reshaped(builder: GraphBuilder, x: Tensor, shape: tuple[int, ...], name: str) -> Tensor:
    """`x` regrouped to `shape` (channels last); itself where the shape stays.

    A map whose height and width are over 1 keeps its channels fastest; the order is noted where a vector comes out.

    Raises ``ValueError`` where the stored codes would have to move.
    """
    if shape == x.shape:
        return x
    order = builder.orders.get(x.name)
    if len(x.shape) == 3:
        if len(shape) == 1:
            order = (x.shape[0], x.shape[1], x.shape[2])
        elif shape[2] != x.shape[2]:
            raise ValueError(f"a feature map must keep its channels, {x.shape[2]}, not get {shape[2]}")
    elif order is None and shape[:2] != (1, 1) and shape[2] != 1:
        raise ValueError("a vector can become a feature map of size 1×1 or of one channel only")
    elif order is not None and shape[2] != order[2]:
        raise ValueError(f"a flattened feature map must keep its channels, {order[2]}, not get {shape[2]}")
    node = builder.add(
        Reshape(
            name=name,
            shape=shape,
            scale=x.scale,
            zero_point=x.zero_point,
            y_min=x.y_min,
            y_max=x.y_max,
            inputs=(x.name,),
        )
    )
    if len(shape) == 1 and order is not None and order[0] * order[1] > 1 and order[2] > 1:
        builder.orders[name] = order
    return node


def lower_flatten(env: Environment, op: Operator) -> Value:
    """Flatten with axis 1: one vector per image."""

    def apply(builder: GraphBuilder, x: Tensor, name: str) -> Tensor:
        axis = op.integer("axis", 1)
        if axis not in (1, 1 - _rank(x)):
            raise ValueError(f"axis must be 1, not {axis} (the batch must stay)")
        return reshaped(builder, x, (math.prod(x.shape),), name)

    return env.moved(op, apply)


def lower_reshape(env: Environment, op: Operator) -> Value:
    """Reshape to a constant shape that keeps the batch: its first entry is 0, −1 or the file's fixed batch size."""
    constant = env.plain(op, 1, "shape")
    assert constant is not None
    wanted = [int(size) for size in constant.values.reshape(-1)]

    def apply(builder: GraphBuilder, x: Tensor, name: str) -> Tensor:
        return reshaped(builder, x, _stored(_resolved(wanted, x, op, env.batch)), name)

    return env.moved(op, apply)


def lower_squeeze(env: Environment, op: Operator) -> Value:
    """Squeeze of a map's height and width, both 1."""
    constant = env.plain(op, 1, "axes")
    axes = None if constant is None else sorted(int(axis) % 4 for axis in constant.values.reshape(-1))

    def apply(builder: GraphBuilder, x: Tensor, name: str) -> Tensor:
        if axes != [2, 3] or len(x.shape) != 3 or x.shape[:2] != (1, 1):
            raise ValueError(f"only height and width (axes 2 and 3) of size 1 can be squeezed, not axes {axes}")
        return reshaped(builder, x, (x.shape[2],), name)

    return env.moved(op, apply)


def lower_identity(env: Environment, op: Operator) -> Value:
    """Identity: the same value."""
    return env.value(op.input(0))


def lower_dropout(env: Environment, op: Operator) -> Value:
    """Dropout outside training: the same value."""
    if op.input(2) and env.scalar(op, 2) not in (0, False):
        raise ValueError("training_mode must be false")
    if len(op.outputs) > 1 and op.outputs[1]:
        raise ValueError(f"the output of the mask, {op.outputs[1]!r}, is not supported")
    return env.value(op.input(0))


def lower_transpose(env: Environment, op: Operator) -> Value:
    """Transpose of constant weights; one of an activation is refused."""
    value = env.value(op.input(0))
    if not isinstance(value, Constant | QuantizedConstant):
        raise ValueError("an activation cannot be transposed")
    rank = (value.values if isinstance(value, Constant) else value.codes).ndim
    order = op.integers("perm") or tuple(reversed(range(rank)))
    if sorted(order) != list(range(rank)):
        raise ValueError(f"perm must be a permutation of {rank} axes, not {order}")
    if isinstance(value, Constant):
        return Constant(value.values.transpose(order), value.type)
    axis = order.index(value.axis) if value.scale.ndim else 0
    return QuantizedConstant(value.codes.transpose(order), value.scale, value.zero_point, axis, value.type)


def _rank(x: Tensor) -> int:
    return len(x.shape) + 1


def _stored(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (shape[1], shape[2], shape[0]) if len(shape) == 3 else shape


def _resolved(wanted: list[int], x: Tensor, op: Operator, batch: int | None) -> tuple[int, ...]:
    """The file's (channels first) shape without the batch that `wanted` asks for."""
    logical = (x.shape[2], x.shape[0], x.shape[1]) if len(x.shape) == 3 else x.shape
    if len(wanted) not in (2, 4):
        raise ValueError(f"shape must have 2 or 4 entries, not {wanted}")
    copies = not op.integer("allowzero", 0)
    first, rest = wanted[0], wanted[1:]
    if not ((first == 0 and copies) or first == -1 or (batch is not None and first == batch)):
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
