"""Weights of convolutions and linear layers: checked codes, scales and zero points."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from emulator.arithmetic import Arithmetic
from emulator.graph import Codes as Int8
from emulator.graph import Integers

from ..constants import QuantizedConstant


@dataclass(frozen=True, eq=False)
class Weights:
    """codes : int8, output channels at one axis; scale : float32 (channels,)

    zero_point : (channels,) codes, None where all are 0
    """

    codes: Int8
    scale: NDArray[np.float32]
    channels: int
    zero_point: Integers | None = None

    def negated(self, channels: NDArray[np.bool_], axis: int, arithmetic: Arithmetic) -> Weights:
        """These, those of `channels` with the other sign.

        Codes w become −w, or where −w is no code all of that channel ~w with the zero point ~zw: (−1 − w) − (−1 − zw)
        is −(w − zw) too.
        """
        if not channels.any():
            return self
        codes = np.moveaxis(self.codes.astype(np.int64), axis, 0).copy()
        zero_point = np.zeros(self.channels, np.int64) if self.zero_point is None else self.zero_point.copy()
        highest = arithmetic.weight_range[1]
        for channel in np.flatnonzero(channels):
            plain = max(-codes[channel].min(), -zero_point[channel]) <= highest
            codes[channel] = -codes[channel] if plain else ~codes[channel]
            zero_point[channel] = -zero_point[channel] if plain else ~zero_point[channel]
        return replace(
            self,
            codes=np.ascontiguousarray(np.moveaxis(codes, 0, axis)).astype(np.int8),
            zero_point=zero_point if zero_point.any() else None,
        )

    def without(self, channels: NDArray[np.bool_], axis: int) -> Weights:
        """These, those of `channels` being 0."""
        if not channels.any():
            return self
        shape = [-1 if place == axis else 1 for place in range(self.codes.ndim)]
        zero_point = None if self.zero_point is None else np.where(channels, 0, self.zero_point)
        codes = np.where(channels.reshape(shape), np.int8(0), self.codes)
        return replace(self, codes=codes, zero_point=zero_point)


def checked_weights(value: QuantizedConstant, axis: int, rank: int, arithmetic: Arithmetic) -> Weights:
    """Constant weights with output channels on `axis` of `rank` axes.

    Raises ``ValueError`` unless they have one scale and zero point or one per output channel, and codes and zero points
    of weight_bits.
    """
    if value.codes.ndim != rank:
        raise ValueError(f"weight must have {rank} axes, not shape {value.codes.shape}")
    channels = value.codes.shape[axis]
    if value.codes.size == 0:
        raise ValueError(f"weight must not be empty, its shape is {value.codes.shape}")
    if value.scale.ndim and value.axis != axis:
        raise ValueError(f"weight scales must be per output channel (axis {axis}), not along axis {value.axis}")
    low, high = arithmetic.weight_range
    for what, values in (("codes", value.codes), ("zero points", value.zero_point)):
        wrong = values[(values < low) | (values > high)]
        if wrong.size:
            raise ValueError(
                f"weight {what} must be from {low} to {high} (weight_bits = {arithmetic.weight_bits}), "
                f"not {int(wrong.flat[0])}"
            )
    zero_point = np.broadcast_to(value.zero_point, (channels,)).astype(np.int64) if value.zero_point.any() else None
    return Weights(value.codes.astype(np.int8), np.broadcast_to(value.scale, (channels,)), channels, zero_point)
