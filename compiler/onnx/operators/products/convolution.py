"""Conv: a 1-D or 2-D convolution with any kernel, strides, padding, dilations and groups."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from ....reading.channel_scaled import WAY_OUT, ChannelScaled
from ....reading.pools.pool import AveragePoolSource
from ....reading.products.convolution import ConvolutionSource
from ....reading.values import Real, Value
from ....reading.windows import spatial_axes
from ...environment import Environment
from ...operator import Operator
from ...weights import read_bias, read_weights
from ...windows import node_geometry


def lower_conv(env: Environment, op: Operator) -> Value:
    """Conv of an activation with constant weights; 3-D convolutions are refused."""
    real = env.real(op, 0)
    if real.bare and isinstance(real.source, AveragePoolSource):
        return _of_mean(env, op, real.source)
    by_channel = real.source if real.bare and isinstance(real.source, ChannelScaled) else None
    x = env.operand(op, 0) if by_channel is None else by_channel.tensor
    weights = read_weights(env, op, 1, axis=0, rank=2 + spatial_axes(x))
    groups = op.integer("group", 1)
    outputs, depth, *kernel = weights.codes.shape
    if groups < 1 or depth * groups != x.shape[-1] or outputs % groups:
        raise ValueError(
            f"weight of shape {weights.codes.shape} in {groups} groups does not match an input of "
            f"{x.shape[-1]} channels"
        )
    if op.integers("kernel_shape") not in (None, tuple(kernel)):
        raise ValueError(f"kernel_shape must be the weight's {tuple(kernel)}, not {op.integers('kernel_shape')}")
    geometry = node_geometry(op, x, tuple(kernel))
    x_scale = None
    if by_channel is not None:
        if depth != 1 or len(by_channel.scale) != groups:
            raise ValueError(f"its input has one scale per channel, and it is not depthwise; {WAY_OUT}")
        x_scale = np.repeat(by_channel.scale, outputs // groups)
    source = ConvolutionSource(op, x, weights, read_bias(env, op, 2), x_scale=x_scale, geometry=geometry, groups=groups)
    return Real(source)


def _of_mean(env: Environment, op: Operator, mean: AveragePoolSource) -> Value:
    """A 1×1 convolution of a mean that nothing has rounded: a convolution whose kernel is the mean's window."""
    area = math.prod(mean.geometry.kernel)
    weights = read_weights(env, op, 1, axis=0, rank=2 + spatial_axes(mean.x))
    outputs, depth, *kernel = weights.codes.shape
    simple = {*kernel, *(op.integers("strides") or ()), op.integer("group", 1)} == {1} and not any(
        op.integers("pads") or ()
    )
    if not simple or (mean.counts != area).any() or any(mean.geometry.padding) or depth != mean.x.shape[-1]:
        raise ValueError(
            f"reads the unrounded result of {mean.operator}, as only a 1×1 convolution of whole windows can; "
            "a QuantizeLinear must stand between"
        )
    codes = weights.codes.reshape(outputs, depth, 1, 1)
    tiled = replace(weights, codes=np.broadcast_to(codes, (outputs, depth, *mean.geometry.kernel)))
    source = ConvolutionSource(op, mean.x, tiled, None, geometry=mean.geometry).with_affine(mean.factor / area, 0.0)
    if op.input(2):
        bias = env.reals(op, 2, "bias").reshape(-1)
        if bias.size not in (1, outputs):
            raise ValueError(f"bias must have {outputs} elements, one per output channel, not {bias.size}")
        source = source.with_affine(1.0, bias)
    return Real(source)
