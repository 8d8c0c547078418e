"""ConvTranspose: a 1-D or 2-D transposed convolution."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ....reading.products.transposed_convolution import TransposedConvolutionSource
from ....reading.values import Real, Value
from ....reading.windows import spatial_axes
from ...environment import Environment
from ...operator import Operator
from ...weights import read_bias, read_weights
from ...windows import transposed_axes


def lower_conv_transpose(env: Environment, op: Operator) -> Value:
    """ConvTranspose with constant weights (I, O/groups, kernel …); scales may be per index of their second axis."""
    x = env.operand(op, 0)
    weights = read_weights(env, op, 1, axis=1, rank=2 + spatial_axes(x))
    groups = op.integer("group", 1)
    inputs, each, *kernel = weights.codes.shape
    if groups < 1 or inputs != x.shape[-1] or inputs % groups:
        raise ValueError(
            f"weight of shape {weights.codes.shape} in {groups} groups does not match an input of "
            f"{x.shape[-1]} channels"
        )
    if op.integers("kernel_shape") not in (None, tuple(kernel)):
        raise ValueError(f"kernel_shape must be the weight's {tuple(kernel)}, not {op.integers('kernel_shape')}")
    axes = transposed_axes(op, x, tuple(kernel))
    rows, columns = (1, *kernel)[-2:]
    codes = weights.codes.reshape(groups, inputs // groups, each, rows, columns).swapaxes(1, 2)
    of_each_group = replace(
        weights,
        codes=np.ascontiguousarray(codes.reshape(groups * each, inputs // groups, rows, columns)),
        scale=np.tile(weights.scale, groups),
        channels=groups * each,
        zero_point=None if weights.zero_point is None else np.tile(weights.zero_point, groups),
    )
    return Real(TransposedConvolutionSource(op, x, of_each_group, read_bias(env, op, 2), axes=axes, groups=groups))
