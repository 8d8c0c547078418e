"""Biases of convolutions and linear layers as integers in steps of the sums."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.arithmetic import Arithmetic
from emulator.graph import Integers

from ..constants import Constant, QuantizedConstant

Reals = NDArray[np.float64]


def integer_bias(
    value: Constant | QuantizedConstant | None, x_scale: NDArray[np.float32], w_scale: NDArray[np.float32]
) -> tuple[Integers, Reals]:
    """(bias, error), each (channels,): the integer bias, and how far it is from the file's, in real numbers.

    x_scale, w_scale : (channels,) scales of input and weights

    An integer without a scale is taken as it is, one with a scale too if that is within 1 ulp of float32(sx·sw); any
    other bias is a real number, quantized as the contract says. Raises ``ValueError`` for a wrong number of elements.
    """
    channels = len(w_scale)
    if value is None:
        return np.zeros(channels, np.int64), np.zeros(channels)
    count = value.values.size if isinstance(value, Constant) else value.codes.size
    if count not in (1, channels):
        raise ValueError(f"bias must have {channels} elements, one per output channel, not {count}")
    if isinstance(value, Constant):
        if value.values.dtype == np.int32:
            return _spread(value.values, channels).astype(np.int64), np.zeros(channels)
        if value.values.dtype not in (np.float32, np.float16):
            kind = value.values.dtype
            raise ValueError(
                f"bias must be float32, float16 or int32, or stand behind a DequantizeLinear, not be {kind}"
            )
        return rounded_bias(_spread(value.values, channels), x_scale, w_scale)
    if value.scale.ndim and value.scale.size != count:
        raise ValueError(f"bias must have one scale or {count}, one per channel, not {value.scale.size}")
    with np.errstate(over="ignore", under="ignore"):
        found, expected = _spread(value.scale, channels), x_scale * w_scale
    # Neighbouring positive float32 values are neighbouring integers when their bits are read as such.
    exact = np.abs(_bits(found) - _bits(expected)) <= 1
    exact &= _spread(value.zero_point, channels) == 0
    codes = _spread(value.codes, channels)
    if exact.all():
        return codes, np.zeros(channels)
    bias, error = rounded_bias(_spread(value.real, channels), x_scale, w_scale)
    return np.where(exact, codes, bias), np.where(exact, 0.0, error)


def rounded_bias(real: NDArray[Any], x_scale: NDArray[Any], w_scale: NDArray[Any]) -> tuple[Integers, Reals]:
    """(bias, error) of real numbers: ``round_half_even(real / (sx·sw))`` in float64."""
    steps, real = x_scale.astype(np.float64) * w_scale.astype(np.float64), real.astype(np.float64)
    quotient = np.rint(real / steps)
    for channel in np.flatnonzero(~(np.abs(quotient) < 2.0**62))[:1]:
        raise ValueError(
            f"bias must be finite and below 2^62 steps of {steps[channel]}, not {real[channel]} (channel {channel})"
        )
    return quotient.astype(np.int64), np.abs(real - quotient * steps)


def check_bias(bias: Integers, arithmetic: Arithmetic) -> None:
    """Raise ``ValueError`` naming the channel of a bias that min(P, 32) bits do not hold."""
    low, high = arithmetic.bias_range
    for channel in np.flatnonzero((bias < low) | (bias > high))[:1]:
        bits = arithmetic.bias_bits
        value = int(bias[channel])
        needed = max(value, ~value).bit_length() + 1
        way = f"; an arithmetic with accumulator_bits = {needed} or more holds it" if needed <= 32 else ""
        raise ValueError(f"bias of channel {channel} must fit {bits} bits ({low} to {high}), not {value}{way}")


def _spread(values: NDArray[Any], channels: int) -> NDArray[Any]:
    return np.broadcast_to(values.reshape(-1), (channels,))


def _bits(values: NDArray[Any]) -> NDArray[np.int64]:
    return np.ascontiguousarray(values, np.float32).view(np.int32).astype(np.int64)
