"""RESHAPE, SQUEEZE, EXPAND_DIMS, TRANSPOSE, PAD and PADV2: codes that only move."""

from __future__ import annotations

import math

from emulator.graph import Tensor

from ...reading.moves.rearrange import in_steps
from ...reading.values import Target
from ...reading.windows import MAX_SIZE
from ..environment import Environment
from ..moves import padded, relabelled, reshaped
from ..operator import Operator


def lower_reshape(env: Environment, op: Operator) -> None:
    """The shape is that of the result's tensor."""
    x = env.operand(op, 0)
    check_same_scale(env, op, x)
    shape = env.sample_shape(env.output(op))
    if math.prod(shape) != math.prod(x.shape):
        raise ValueError(f"must keep the {math.prod(x.shape)} elements of each sample, not make {shape}")
    env.put(op, reshaped(env.builder, x, shape, env.label(op)))


def lower_transpose(env: Environment, op: Operator) -> None:
    """Axis i of the result is axis ``perm[i]`` of the input; the batch stays in front."""
    x, found = env.operand(op, 0), env.file_tensor(op, 0)
    check_same_scale(env, op, x)
    order, rank = env.integers(op, 1), len(found.shape)
    if sorted(order) != list(range(rank)):
        raise ValueError(f"perm must be an order of the {rank} axes, not {order}")
    first = int(env.has_batch(found))
    if first and order[0] != 0:
        raise ValueError(f"perm must leave the batch in front, not be {order}")
    axes = (0, *(axis - first + 1 for axis in order[first:]))
    env.put(op, in_steps(env.builder, x, [("axes", axes)], env.label(op)))


def lower_pad(env: Environment, op: Operator) -> None:
    """Zero points around, or of PADV2 any one code."""
    x, found = env.operand(op, 0), env.file_tensor(op, 0)
    check_same_scale(env, op, x)
    amounts = env.constant(op, 1)
    if amounts.dtype.kind not in "iu" or amounts.shape != (len(found.shape), 2):
        raise ValueError(f"paddings must be integers of shape {(len(found.shape), 2)}, not {amounts.shape}")
    pairs = [(int(before), int(after)) for before, after in amounts]
    if not all(0 <= amount <= MAX_SIZE for pair in pairs for amount in pair):
        raise ValueError(f"paddings must be from 0 to {MAX_SIZE}, not {pairs}")
    if env.has_batch(found):
        if pairs[0] != (0, 0):
            raise ValueError(f"paddings must leave the batch as it is, not be {pairs[0]} there")
        pairs = pairs[1:]
    fill = _fill(env, op, x)
    original, zero_point = x, x.zero_point
    if fill != zero_point:
        x = relabelled(env.builder, x, env.label(op, "codes"), x.shape, x.scale, fill)
    wanted = [axis for axis, pair in enumerate(pairs) if pair != (0, 0)]
    for axis in wanted:
        last = axis == wanted[-1] and fill == zero_point
        x = padded(env.builder, x, axis, *pairs[axis], env.label(op, "" if last else f"axis{axis}"))
    if fill != zero_point:
        x = relabelled(env.builder, x, env.label(op), x.shape, original.scale, zero_point)
    env.put(op, x)


def _fill(env: Environment, op: Operator, x: Tensor) -> int:
    if op.type == "PAD" or not env.has(op, 2):
        return x.zero_point
    value = env.codes(env.file_tensor(op, 2))
    if value.size != 1:
        raise ValueError(f"the value to pad with must be one code, not {value.shape}")
    return int(value.reshape(-1)[0])


def check_same_scale(env: Environment, op: Operator, x: Tensor) -> Target:
    """The target; ``ValueError`` where its scale or zero point is not that of `x`, whose codes stay as they are."""
    target = env.target(op)
    if (target.scale, target.zero_point) != (x.scale, x.zero_point):
        raise ValueError(
            f"the result must have the input's scale {x.scale} and zero point {x.zero_point}, "
            f"not {target.scale} and {target.zero_point}; put a QUANTIZE between"
        )
    return target
