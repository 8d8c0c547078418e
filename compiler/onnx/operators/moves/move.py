"""Transpose, Slice, Split and Pad: codes selected, put in another order or framed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from emulator.graph import Tensor, logical_shape
from emulator.operators.quantize import quantize

from ....reading.constants import Constant, QuantizedConstant
from ....reading.graph_builder import GraphBuilder
from ....reading.moves.padding import extended, padded
from ....reading.moves.rearrange import checked_axis, gathered, sliced, transposed
from ....reading.values import Codes, Move, MoveFunction, Value
from ....reading.windows import MAX_SIZE
from ...code_types import CODE_TYPES
from ...environment import Environment
from ...operator import Operator


def lower_transpose(env: Environment, op: Operator) -> Value:
    """Transpose of constant weights, or of an activation whose batch stays the first axis."""
    value = env.value(op.input(0))
    if not isinstance(value, Constant | QuantizedConstant):
        return env.moved(op, _transpose(op))
    rank = (value.values if isinstance(value, Constant) else value.codes).ndim
    order = _permutation(op, rank)
    if isinstance(value, Constant):
        return Constant(value.values.transpose(order))
    axis = order.index(value.axis) if value.scale.ndim else 0
    return QuantizedConstant(value.codes.transpose(order), value.scale, value.zero_point, axis)


def lower_slice(env: Environment, op: Operator) -> Value:
    """Slice with constant starts, ends, axes and steps, backwards too, along any axes but the batch's."""
    starts, ends = env.integers(op, 1, "starts") or (), env.integers(op, 2, "ends") or ()
    axes = env.integers(op, 3, "axes") or tuple(range(len(starts)))
    steps = env.integers(op, 4, "steps") or (1,) * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) or not starts:
        raise ValueError("starts, ends, axes and steps must have one length of at least 1")
    if 0 in steps:
        raise ValueError(f"steps must not be 0, as in {steps}")

    def apply(builder: GraphBuilder, x: Tensor, name: str) -> Tensor:
        cuts = {}
        for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
            place = checked_axis(axis, len(x.shape) + 1)
            if place in cuts:
                raise ValueError(f"axes must differ, not be {axes}")
            size = logical_shape(x.shape)[place - 1]
            cuts[place] = range(size)[slice(start, end, step)]
            if not cuts[place]:
                raise ValueError(f"elements {start} to {end} of axis {axis} must not be empty; it has {size} elements")
        cuts = {axis: cut for axis, cut in cuts.items() if cut != range(logical_shape(x.shape)[axis - 1])}
        for index, (axis, cut) in enumerate(cuts.items(), 1):
            x = gathered(builder, x, axis, cut, name if index == len(cuts) else builder.unique(f"{name}/{index}"))
        return x

    return env.moved(op, apply)


def lower_split(env: Environment, op: Operator) -> tuple[Value, ...]:
    """Split into parts of constant or equal sizes: a `Slice` for each, NAME/0, NAME/1, …"""
    count, sizes = len(op.outputs), env.integers(op, 1, "split")
    if sizes is not None and (len(sizes) != count or min(sizes) < 1):
        raise ValueError(f"split must have {count} sizes of at least 1, one per output, not {sizes}")
    if op.integer("num_outputs", count) != count:
        raise ValueError(f"num_outputs must be the {count} that the node has, not {op.integer('num_outputs', count)}")

    def part(index: int) -> MoveFunction:
        def apply(builder: GraphBuilder, x: Tensor, name: str) -> Tensor:
            axis = checked_axis(op.integer("axis", 0), len(x.shape) + 1)
            size = logical_shape(x.shape)[axis - 1]
            each = -(-size // count)
            if sizes is None and ((size % count and "num_outputs" not in op.attributes) or each * (count - 1) >= size):
                raise ValueError(f"{size} elements of axis {axis} cannot be split into {count} equal parts")
            if sizes is not None and sum(sizes) != size:
                raise ValueError(f"split must have the sum {size}, the elements of axis {axis}, not {sum(sizes)}")
            first = each * index if sizes is None else sum(sizes[:index])
            end = min(first + each, size) if sizes is None else first + sizes[index]
            return sliced(builder, x, axis, range(first, end), name)

        return apply

    names = [replace(op, name=op.name and f"{op.name}/{i}", outputs=(name,)) for i, name in enumerate(op.outputs)]
    return tuple(env.moved(each, part(index)) for index, each in enumerate(names))


def lower_pad(env: Environment, op: Operator) -> Value:
    """Pad along any axes but the batch's: with zeros, another number that is a code, or the tensor's own elements."""
    mode = op.text("mode", "constant")
    if mode not in ("constant", "edge", "reflect", "wrap"):
        raise ValueError(f"mode must be constant, edge, reflect or wrap, not {mode!r}")
    found = env.value(op.input(0))
    value = env.scalar(op, 2) if op.input(2) else op.real("value", 0.0)
    if value is None or math.isnan(value):
        raise ValueError("the value must be one constant number")
    pads, axes = env.integers(op, 1, "pads") or (), env.integers(op, 3, "axes")

    def apply(builder: GraphBuilder, x: Tensor, name: str) -> Tensor:
        borders = _borders(pads, axes, len(x.shape) + 1)
        if not any(map(any, borders)):
            return x
        if mode != "constant":
            return extended(builder, x, borders, mode, name)
        return padded(builder, x, borders, _fill(builder, found, x, value), name)

    if isinstance(found, Codes):
        return Codes(apply(env.builder, found.tensor, env.builder.unique(op.label)), found.type)
    return env.real(op, 0).moved(Move(op, apply, fill=float(value) if mode == "constant" else None))


def _fill(builder: GraphBuilder, found: Value, x: Tensor, value: float) -> int:
    """The code of `value`, which is a code of the file already where codes are padded."""
    low, high = builder.arithmetic.activation_range
    if isinstance(found, Codes):
        code = int(value) - CODE_TYPES[found.type][2]
        if not low <= code <= high:
            raise ValueError(f"the value must be a code of the tensor's type, not {value}")
        return code
    code = int(quantize(value, x.scale, x.zero_point, low, high))
    if np.float32(code - x.zero_point) * np.float32(x.scale) != np.float32(value):
        raise ValueError(f"the value must be a code times the scale {x.scale}, as the codes around are, not {value}")
    return code


def _borders(pads: Sequence[int], axes: Sequence[int] | None, rank: int) -> list[tuple[int, int]]:
    """Positions before and behind each logical axis but the batch's."""
    axes = range(rank) if axes is None else axes
    if len(pads) != 2 * len(axes) or not all(abs(pad) <= MAX_SIZE for pad in pads):
        raise ValueError(f"pads must be {2 * len(axes)} integers from {-MAX_SIZE} to {MAX_SIZE}, not {tuple(pads)}")
    borders = [(0, 0)] * rank
    for axis, first, last in zip(axes, pads[: len(axes)], pads[len(axes) :], strict=True):
        if not -rank <= axis < rank:
            raise ValueError(f"axes must be from {-rank} to {rank - 1}, not {axis}")
        if (first or last) and axis % rank == 0:
            raise ValueError("only the axes behind the batch can be padded")
        borders[axis % rank] = first, last
    return borders[1:]


def _transpose(op: Operator) -> MoveFunction:
    def apply(builder: GraphBuilder, x: Tensor, name: str) -> Tensor:
        order = _permutation(op, len(x.shape) + 1)
        if order[0] != 0:
            raise ValueError(f"perm must keep the batch as the first axis, not be {order}")
        return transposed(builder, x, order, name)

    return apply


def _permutation(op: Operator, rank: int) -> tuple[int, ...]:
    order = op.integers("perm") or tuple(reversed(range(rank)))
    if sorted(order) != list(range(rank)):
        raise ValueError(f"perm must be a permutation of {rank} axes, not {order}")
    return order
