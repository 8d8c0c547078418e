"""CONCATENATION and PACK."""

from __future__ import annotations

from emulator.graph import Rescale, Tensor
from emulator.operators.requantization.multiplier import quantize_multiplier

from ...reading.values import Target
from ..environment import Environment
from ..moves import clamped, joined, reshaped
from ..operator import Operator


def lower_concatenation(env: Environment, op: Operator) -> None:
    """Inputs of another scale than the result's are requantized first, which TFLM refuses."""
    options = "ConcatenationOptions"
    target = env.target(op, op.activation(options))
    axis = env.axis(env.output(op), op.integer(options, "Axis"))
    parts = _parts(env, op, target)
    first = parts[0].shape
    if axis >= len(first):
        raise ValueError(f"the inputs must have axis {axis + 1}, which shape {first} has not")
    for part in parts:
        if (
            len(part.shape) != len(first)
            or part.shape[:axis] + part.shape[axis + 1 :] != first[:axis] + first[axis + 1 :]
        ):
            raise ValueError(f"the inputs must have one shape but for axis {axis + 1}, not {first} and {part.shape}")
    low, high = min(part.y_min for part in parts), max(part.y_max for part in parts)
    bare = target.y_min <= low and high <= target.y_max
    made = joined(env.builder, parts, axis, env.label(op, "" if bare else "codes"))
    env.put(op, made if bare else clamped(env.builder, made, target.y_min, target.y_max, env.label(op)))


def lower_pack(env: Environment, op: Operator) -> None:
    """Tensors of one shape along a new axis."""
    target, found = env.target(op), env.output(op)
    axis = env.axis(found, op.integer("PackOptions", "Axis"))
    parts = _parts(env, op, target)
    if any(part.shape != parts[0].shape for part in parts) or axis > len(parts[0].shape):
        raise ValueError("the inputs must have one shape")
    shape = (*parts[0].shape[:axis], 1, *parts[0].shape[axis:])
    parts = [reshaped(env.builder, part, shape, env.label(op, f"part{i}")) for i, part in enumerate(parts)]
    env.put(op, joined(env.builder, parts, axis, env.label(op)))


def _parts(env: Environment, op: Operator, target: Target) -> list[Tensor]:
    if not op.inputs:
        raise ValueError("must have inputs")
    tensors = [env.operand(op, index) for index in range(len(op.inputs))]
    return [_rescaled(env, op, tensor, target, index) for index, tensor in enumerate(tensors)]


def _rescaled(env: Environment, op: Operator, x: Tensor, target: Target, index: int) -> Tensor:
    if (x.scale, x.zero_point) == (target.scale, target.zero_point):
        return x
    if env.tflm:
        raise ValueError(
            f"the inputs must have the result's scale {target.scale} and zero point {target.zero_point} in TFLM, "
            f"not {x.scale} and {x.zero_point}; put a QUANTIZE in front"
        )
    multiplier, shift = quantize_multiplier(x.scale / target.scale, env.builder.arithmetic)
    low, high = env.builder.arithmetic.activation_range
    return env.builder.add(
        Rescale(
            name=env.label(op, f"part{index}"),
            shape=x.shape,
            scale=target.scale,
            zero_point=target.zero_point,
            y_min=low,
            y_max=high,
            inputs=(x.name,),
            multiplier=multiplier,
            shift=shift,
        )
    )
