"""Weights, biases and multipliers of convolutions and matrix products."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.graph import Integers, Tensor
from emulator.operators.requantization.multiplier import layer_scales, quantize_multiplier

from ..reading.products.bias import check_bias
from ..reading.values import Target
from .environment import Environment
from .operator import Operator


@dataclass(frozen=True, eq=False)
class Weights:
    """codes : int8, as in the file; scale : float32 (channels,); zero_point : (channels,), None where all are 0."""

    codes: NDArray[np.int8]
    scale: NDArray[np.float32]
    zero_point: Integers | None
    channels: int


def read_weights(env: Environment, op: Operator, index: int, axis: int, rank: int) -> Weights:
    """Constant weights of `rank` axes with output channels on `axis`, one scale or one per output channel."""
    found = env.file_tensor(op, index)
    if found.data is None:
        raise ValueError(f"{found}, its weights, must be a constant")
    if len(found.shape) != rank or 0 in found.shape:
        raise ValueError(f"{found} must have {rank} axes and elements, not the shape {found.shape}")
    codes, channels = env.codes(found), found.shape[axis]
    env.file.accessors.charge_walk(codes.size)
    low, high = env.builder.arithmetic.weight_range
    if codes.size and (codes.min() < low or codes.max() > high):
        raise ValueError(f"{found} must have codes from {low} to {high}, as weight_bits allow")
    if found.scale.size not in (1, channels) or found.zero_point.size not in (0, 1, found.scale.size):
        raise ValueError(f"{found} must have one scale or {channels}, and as many zero points, not {found.scale.size}")
    if found.scale.size > 1 and found.axis != axis:
        raise ValueError(f"{found} must have its scales along axis {axis}, not {found.axis}")
    if not (np.isfinite(found.scale) & (found.scale > 0)).all():
        raise ValueError(f"{found} must have positive finite scales")
    if found.type != "uint8" and found.zero_point.any():
        raise ValueError(f"{found} must have zero point 0, as TFLite takes it for {found.type} weights")
    zero_point = found.zero_point - (128 if found.type == "uint8" else 0)
    if ((zero_point < low) | (zero_point > high)).any():
        raise ValueError(f"{found} must have zero points that are codes")
    return Weights(
        codes,
        np.broadcast_to(found.scale, (channels,)),
        np.broadcast_to(zero_point, (channels,)).astype(np.int64) if zero_point.any() else None,
        channels,
    )


def read_bias(env: Environment, op: Operator, index: int, channels: int) -> Integers:
    """The int32 bias as it is, whatever its scale, as every TFLite kernel takes it; zeros where it is left out."""
    if not env.has(op, index):
        return np.zeros(channels, np.int64)
    found = env.file_tensor(op, index)
    values = env.constant(op, index)
    if found.type != "int32" or values.size != channels:
        raise ValueError(f"{found}, its bias, must be {channels} int32, not {found.type} of shape {found.shape}")
    bias = values.reshape(-1).astype(np.int64)
    check_bias(bias, env.builder.arithmetic)
    return bias


def requantization(env: Environment, x: Tensor, weights: Weights, bias: Integers, target: Target) -> dict[str, Any]:
    """The fields of a layer that sums and requantizes."""
    scales = layer_scales(x.scale, weights.scale, target.scale)
    multiplier, shift = quantize_multiplier(scales, env.builder.arithmetic)
    return {
        **vars(target),
        "inputs": (x.name,),
        "bias": bias,
        "multiplier": multiplier,
        "shift": shift,
        "weight_zero_point": weights.zero_point,
    }
