"""`affine`: gain · x + offset, each of them one number per channel or per element, with one rounding behind it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.arithmetic import Arithmetic
from emulator.graph import Reshape, Tensor, logical_shape, map_size

from ..graph_builder import GraphBuilder
from ..moves.rearrange import in_logical_order, kept
from ..origin import Origin
from ..values import Move, Real
from ..windows import WindowGeometry
from .convolution import ConvolutionSource
from .weighted import Affine, Reals
from .weights import Weights


def affine(builder: GraphBuilder, op: Origin, x: Tensor, gain: NDArray[Any], offset: NDArray[Any]) -> Real:
    """``gain · x + offset`` of codes; both arrays broadcast to the logical shape of `x`.

    It is a depthwise 1×1 convolution: the gain is a part of the multipliers, and the offset a bias in steps of x as
    fine as the weights' codes allow. Where gain or offset differ inside a channel, each element is its own channel.
    """
    x = in_logical_order(builder, x)
    shape = logical_shape(x.shape)
    values = [np.broadcast_to(array.astype(np.float64), shape) for array in (gain, offset)]
    first = (slice(None), *(slice(1) for _ in shape[1:]))
    each = all((array == array[first]).all() for array in values)
    if each:
        channels, whole = [array[first].reshape(-1) for array in values], (1, *x.shape)[-max(len(x.shape), 2) :]
    else:
        channels, whole = [np.moveaxis(array, 0, -1).reshape(-1) for array in values], (1, math.prod(x.shape))
    source = x
    if whole != x.shape:
        source = builder.add(Reshape(name=builder.unique(f"{op.label}/channels"), shape=whole, **kept(x)))
    result = Real(_depthwise(builder.arithmetic, op, source, channels[0], channels[1]))
    if whole == x.shape:
        return result

    def back(builder: GraphBuilder, made: Tensor, name: str) -> Tensor:
        return builder.add(Reshape(name=name, shape=x.shape, **kept(made)))

    return result.moved(Move(op, back))


def mean_of_affine(arithmetic: Arithmetic, source: ConvolutionSource, geometry: WindowGeometry) -> Real | None:
    """The mean of each window of what `affine` makes, with one rounding; None for any other convolution.

    It is the affine map of the mean. Every window must lie on the map.
    """
    if source.groups != source.weights.channels or source.geometry.kernel != (1, 1) or source.affine is None:
        return None
    if source.bias is not None or source.weights.zero_point is not None or any(geometry.padding):
        return None
    if source.geometry.output != source.geometry.size or source.x_scale is not None:
        return None
    gain = source.affine.gain * source.weights.codes.reshape(-1) * source.weights.scale
    return Real(_depthwise(arithmetic, source.operator, source.x, gain, source.affine.offset, geometry))


def _depthwise(
    arithmetic: Arithmetic, op: Origin, x: Tensor, gain: Reals, offset: Reals, window: WindowGeometry | None = None
) -> ConvolutionSource:
    size = map_size(x)
    geometry = window or WindowGeometry(size, (1, 1), (1, 1), (0, 0, 0, 0), (0, 0, 0, 0), (1, 1), size)
    area = math.prod(geometry.kernel)
    weights = _steps(arithmetic, x, gain / area, offset, area)
    codes = np.broadcast_to(weights.astype(np.int8).reshape(-1, 1, 1, 1), (len(weights), 1, *geometry.kernel))
    return ConvolutionSource(
        op,
        x,
        Weights(codes, np.ones(len(weights), np.float32), len(weights)),
        None,
        affine=Affine(gain / (area * weights), offset),
        geometry=geometry,
        groups=len(weights),
    )


def _steps(arithmetic: Arithmetic, x: Tensor, gain: Reals, offset: Reals, area: int) -> NDArray[np.int64]:
    """The largest weight of each channel with which neither its bias nor any of its sums leaves the accumulator."""
    span = area * max(x.y_max - x.zero_point, x.zero_point - x.y_min)
    step = np.abs(gain) * np.float64(x.scale)
    bias = np.divide(np.abs(offset), step, out=np.zeros_like(offset), where=step > 0)
    most = (1 << (arithmetic.accumulator_bits - 1)) - 1
    room = np.minimum(most / (span + bias + 1), arithmetic.bias_range[1] / (bias + 1))
    for channel in np.flatnonzero(~(room >= 1))[:1]:
        raise ValueError(
            f"what is added to channel {channel} is {bias[channel]:.6g} steps of its input, "
            f"more than sums of {arithmetic.accumulator_bits} bits hold (accumulator_bits)"
        )
    return np.minimum(room, arithmetic.weight_range[1]).astype(np.int64)
