"""MEAN, SUM and REDUCE_MAX over any axes but the batch's."""

from __future__ import annotations

import math

import numpy as np

from emulator.graph import AveragePool, MaxPool, Tensor
from emulator.operators.requantization.multiplier import quantize_multiplier
from emulator.tflm import mean_multiplier

from ...reading.moves.rearrange import in_steps, kept
from ..environment import Environment
from ..moves import reshaped
from ..operator import Operator
from .move import check_same_scale


def lower_reduce(env: Environment, op: Operator) -> None:
    """One exact sum of x − zx and one requantization."""
    x, found = env.operand(op, 0), env.file_tensor(op, 0)
    axes = sorted({env.axis(found, axis) for axis in env.integers(op, 1)})
    n = math.prod(x.shape[axis] for axis in axes)
    _check_sum(env, x, n)
    target, shape = env.target(op), env.sample_shape(env.output(op))
    if op.type == "SUM":
        multiplier, shift = quantize_multiplier(x.scale / target.scale, env.builder.arithmetic)
    elif env.tflm:
        multiplier, shift = mean_multiplier(x.scale, target.scale, n)
    else:
        multiplier, shift = quantize_multiplier(x.scale / (target.scale * n), env.builder.arithmetic)
    x, kernel = _as_window(env, op, x, axes)
    output = x.shape[0] // kernel[0], x.shape[1] // kernel[1]
    env.take("positions of average pools", output[0] * output[1])
    direct = shape == (*output, x.shape[2])
    made = env.builder.add(
        AveragePool(
            name=env.label(op, "" if direct else "sums"),
            shape=(*output, x.shape[2]),
            **vars(target),
            inputs=(x.name,),
            kernel=kernel,
            strides=kernel,
            multiplier=np.full(output, multiplier, np.int64),
            shift=np.full(output, shift, np.int64),
        )
    )
    if math.prod(shape) != math.prod(made.shape):
        raise ValueError(f"the result must have {math.prod(made.shape)} elements in each sample, not {shape}")
    env.put(op, made if direct else reshaped(env.builder, made, shape, env.label(op)))


def lower_reduce_max(env: Environment, op: Operator) -> None:
    """The largest code."""
    x, found = env.operand(op, 0), env.file_tensor(op, 0)
    check_same_scale(env, op, x)
    axes = sorted({env.axis(found, axis) for axis in env.integers(op, 1)})
    shape = env.sample_shape(env.output(op))
    x, kernel = _as_window(env, op, x, axes)
    output = x.shape[0] // kernel[0], x.shape[1] // kernel[1]
    made = env.builder.add(
        MaxPool(name=env.label(op, "codes"), shape=(*output, x.shape[2]), **kept(x), kernel=kernel, strides=kernel)
    )
    if math.prod(shape) != math.prod(made.shape):
        raise ValueError(f"the result must have {math.prod(made.shape)} elements in each sample, not {shape}")
    env.put(op, reshaped(env.builder, made, shape, env.label(op)))


def _check_sum(env: Environment, x: Tensor, n: int) -> None:
    low, high = env.builder.arithmetic.activation_range
    bits = env.builder.arithmetic.operand_bits
    half = 1 << (bits - 1)
    if n * (high - x.zero_point) > half - 1 or n * (x.zero_point - low) > half:
        raise ValueError(f"a sum of {n} codes can overflow {bits} bits")


def _as_window(env: Environment, op: Operator, x: Tensor, axes: list[int]) -> tuple[Tensor, tuple[int, int]]:
    """The sum as a window over a map (rows, columns, channels)."""
    if len(x.shape) == 3 and 2 not in axes:
        return x, (x.shape[0] if 0 in axes else 1, x.shape[1] if 1 in axes else 1)
    if axes != list(range(axes[0], axes[0] + len(axes))) if axes else False:
        rest = [axis for axis in range(len(x.shape)) if axis not in axes]
        order = (0, *(axis + 1 for axis in (*rest, *axes)))
        x = in_steps(env.builder, x, [("axes", order)], env.label(op, "together"))
        axes = list(range(len(rest), len(x.shape)))
    first, last = (axes[0], axes[-1] + 1) if axes else (0, 0)
    shape = tuple(math.prod(part) for part in (x.shape[:first], x.shape[first:last], x.shape[last:]))
    return reshaped(env.builder, x, shape, env.label(op, "map")), (1, shape[1])
