"""Weights and biases of convolutions and linear layers: checked codes, scales, multipliers and shifts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.arithmetic import Arithmetic
from emulator.graph import Codes as Int8
from emulator.graph import Integers, Tensor
from emulator.multiplier import layer_scales, quantize_multiplier
from emulator.quantize import quantize_bias

from .constants import Constant, QuantizedConstant
from .values import Target


@dataclass(frozen=True, eq=False)
class Weights:
    """codes : int8, output channels at `axis`; scale : float32 (channels,)."""

    codes: Int8
    scale: NDArray[np.float32]
    channels: int


def checked_weights(value: QuantizedConstant, axis: int, rank: int, arithmetic: Arithmetic) -> Weights:
    """Constant weights with output channels on `axis` of `rank` axes.

    Raises ``ValueError`` unless they have zero point 0, one scale or one per output channel, and codes of weight_bits.
    """
    if value.codes.ndim != rank:
        raise ValueError(f"weight must have {rank} axes, not shape {value.codes.shape}")
    if value.zero_point.any():
        wrong = int(value.zero_point[value.zero_point != 0].flat[0])
        raise ValueError(f"weight zero point must be 0, not {wrong} (as a signed code)")
    channels = value.codes.shape[axis]
    if value.codes.size == 0:
        raise ValueError(f"weight must not be empty, its shape is {value.codes.shape}")
    if value.scale.ndim and value.axis != axis:
        raise ValueError(f"weight scales must be per output channel (axis {axis}), not along axis {value.axis}")
    low, high = arithmetic.weight_range
    wrong_codes = value.codes[(value.codes < low) | (value.codes > high)]
    if wrong_codes.size:
        raise ValueError(
            f"weight codes must be from {low} to {high} (weight_bits = {arithmetic.weight_bits}), "
            f"not {int(wrong_codes.flat[0])}"
        )
    return Weights(value.codes.astype(np.int8), np.broadcast_to(value.scale, (channels,)), channels)


def integer_bias(
    value: Constant | QuantizedConstant | None, x: Tensor, weights: Weights, arithmetic: Arithmetic
) -> Integers:
    """The integer bias, (channels,) int64, of min(P, 32) bits.

    An integer bias is taken as it is if its scale is within 1 ulp of float32(sx·sw); a float one is quantized. Raises
    ``ValueError`` naming the channel for any other scale and for a bias that does not fit.
    """
    if value is None:
        return np.zeros(weights.channels, np.int64)
    count = value.values.size if isinstance(value, Constant) else value.codes.size
    if count not in (1, weights.channels):
        raise ValueError(f"bias must have {weights.channels} elements, one per output channel, not {count}")
    if isinstance(value, QuantizedConstant):
        _check_bias_scale(value, x, weights)
        bias = value.codes.reshape(-1)
    elif value.values.dtype == np.float32:
        bias = quantize_bias(value.values.reshape(-1), x.scale, weights.scale, arithmetic)
    else:
        raise ValueError("bias must be float32 or stand behind a DequantizeLinear")
    bias = np.broadcast_to(bias, (weights.channels,)).astype(np.int64)
    low, high = arithmetic.bias_range
    for channel in np.flatnonzero((bias < low) | (bias > high))[:1]:
        bits = arithmetic.bias_bits
        raise ValueError(f"bias of channel {channel} must fit {bits} bits ({low} to {high}), not {int(bias[channel])}")
    return bias


def bias_error(
    value: Constant | QuantizedConstant | None, bias: Integers, x: Tensor, weights: Weights, target: Target
) -> float:
    """How far, in codes of the output, rounding a float bias can move a result; 0 for an integer bias."""
    if not isinstance(value, Constant):
        return 0.0
    steps = np.float64(x.scale) * weights.scale
    return float(np.max(np.abs(value.values.reshape(-1) - bias * steps)) / target.scale)


def layer_multiplier(x: Tensor, weights: Weights, target: Target, arithmetic: Arithmetic) -> tuple[Integers, Integers]:
    """(multiplier, shift), each (channels,) int64, of ``float64(sx) · float64(sw[c]) / float64(sy)``."""
    return quantize_multiplier(layer_scales(x.scale, weights.scale, target.scale), arithmetic)


def _check_bias_scale(value: QuantizedConstant, x: Tensor, weights: Weights) -> None:
    if value.zero_point.any():
        raise ValueError("bias zero point must be 0")
    if value.scale.ndim and value.scale.size not in (1, weights.channels):
        raise ValueError(f"bias must have one scale or {weights.channels}, one per channel, not {value.scale.size}")
    with np.errstate(over="ignore", under="ignore"):
        expected = np.float32(x.scale) * weights.scale
    found = np.broadcast_to(value.scale.reshape(-1), (weights.channels,))
    # Neighbouring positive float32 values are neighbouring integers when their bits are read as such.
    distance = np.abs(_bits(found) - _bits(expected))
    for channel in np.flatnonzero(distance > 1)[:1]:
        raise ValueError(
            f"bias scale of channel {channel} must be input scale times weight scale, {expected[channel]!s}, "
            f"not {found[channel]!s}"
        )


def _bits(values: NDArray[Any]) -> NDArray[np.int64]:
    return np.ascontiguousarray(values, np.float32).view(np.int32).astype(np.int64)
