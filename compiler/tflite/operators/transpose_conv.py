"""TRANSPOSE_CONV: a convolution with the turned kernel over the map with zeros between its pixels."""

from __future__ import annotations

import numpy as np

from emulator.graph import Convolution, Tensor

from ..environment import Environment
from ..moves import padded, reshaped, sliced
from ..operator import PADDINGS, Operator
from ..weights import read_bias, read_weights, requantization
from .windows import pair

OPTIONS = "TransposeConvOptions"


def lower_transpose_conv(env: Environment, op: Operator) -> None:
    """Inputs: the result's shape, weights (outputs, height, width, inputs), the map and the bias."""
    weights = read_weights(env, op, 1, axis=0, rank=4)
    x = env.map_operand(op, 2)
    outputs, *kernel, depth = weights.codes.shape
    if depth != x.shape[-1]:
        raise ValueError(f"weights of shape {weights.codes.shape} do not match an input of {x.shape[-1]} channels")
    strides = pair(op, OPTIONS, "StrideH", "StrideW")
    shape = env.sample_shape(env.output(op))
    if len(shape) != 3 or shape[2] != outputs:
        raise ValueError(f"the result must be a map of {outputs} channels, not {shape} in each sample")
    same = op.choice(OPTIONS, "Padding", PADDINGS) == "SAME"
    window = []
    for axis in range(2):
        x, before, after = _stuffed(env, op, x, axis, strides[axis], kernel[axis], shape[axis], same)
        window.append((before, after))
    target = env.target(op, op.activation(OPTIONS))
    env.add(
        op,
        Convolution(
            name=env.label(op),
            shape=shape,
            **requantization(env, x, weights, read_bias(env, op, 3, outputs), target),
            weight=env.arranged(op.inputs[1], "turned", lambda: np.ascontiguousarray(weights.codes[:, ::-1, ::-1])),
            padding=(window[0][0], window[1][0], window[0][1], window[1][1]),
        ),
    )


def _stuffed(
    env: Environment, op: Operator, x: Tensor, axis: int, stride: int, kernel: int, output: int, same: bool
) -> tuple[Tensor, int, int]:
    """(the map with stride − 1 zero points behind every index of an axis, padding before and behind it)."""
    size = x.shape[axis]
    # The padding of the forward convolution from `output` to `size` positions.
    forward = -(-output // stride) if same else (output - kernel) // stride + 1
    if forward != size:
        raise ValueError(f"a result of {output} along axis {axis + 1} needs an input of {forward}, not {size}")
    total = max((size - 1) * stride + kernel - output, 0) if same else 0
    if stride > 1:
        split = (*x.shape[: axis + 1], 1, *x.shape[axis + 1 :])
        wide = padded(
            env.builder,
            reshaped(env.builder, x, split, env.label(op, f"split{axis}")),
            axis + 1,
            0,
            stride - 1,
            env.label(op, f"zeros{axis}"),
        )
        joined = (*x.shape[:axis], size * stride, *x.shape[axis + 1 :])
        x = reshaped(env.builder, wide, joined, env.label(op, f"stuffed{axis}"))
    before = kernel - 1 - total // 2
    after = output - size * stride - before + kernel - 1
    first, last = max(-before, 0), size * stride - max(-after, 0)
    x = sliced(env.builder, x, axis, range(first, last), env.label(op, f"cut{axis}"))
    return x, max(before, 0), max(after, 0)
