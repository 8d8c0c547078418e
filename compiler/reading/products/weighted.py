"""`WeightedSource`: what convolutions and linear layers share — weights, a bias, and an affine map behind the sums."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from emulator.graph import Tensor
from emulator.operators.requantization.multiplier import layer_scales, quantize_multiplier

from ..constants import Constant, QuantizedConstant
from ..graph_builder import GraphBuilder
from ..origin import Origin
from ..sums import Sums
from ..values import Source, Target
from .bias import check_bias, integer_bias, rounded_bias
from .weights import Weights

Reals = NDArray[np.float64]

ANY_SHAPE = "; behind a QuantizeLinear they may have any that broadcasts"


@dataclass(frozen=True, eq=False)
class Affine:
    """What is done to each channel's real sum: ``gain · sum + offset``, each float64 (channels,)."""

    gain: Reals
    offset: Reals

    def then(self, gain: NDArray[Any], offset: NDArray[Any]) -> Affine:
        """This, and another such map behind it."""
        return Affine(self.gain * gain, self.offset * gain + offset)


@dataclass(frozen=True, eq=False)
class WeightedSource(Source):
    """Sums of codes times weights' codes, plus a bias, per output channel.

    bias : one element or one per channel
    affine : what stands behind the sums, None: nothing
    x_scale, y_scale : float32 (channels,) instead of the scales of `x` and of the target, where the file has one for
        each channel
    """

    operator: Origin
    x: Tensor
    weights: Weights
    bias: Constant | QuantizedConstant | None

    affine: Affine | None = None
    x_scale: NDArray[np.float32] | None = None
    y_scale: NDArray[np.float32] | None = None

    weight_axis = 0
    """Where the weights' codes have the output channels."""

    @property
    def channels_first(self) -> bool:
        """Whether the file has the output channels on its first axis behind the batch, as operators of channels do."""
        return True

    def with_affine(self, gain: NDArray[Any] | float, offset: NDArray[Any] | float) -> Self:
        """This, with ``gain · y + offset`` behind it; numbers, or one element per channel."""
        ones = np.ones(self.weights.channels)
        before = Affine(ones, 0 * ones) if self.affine is None else self.affine
        return replace(self, affine=before.then(ones * gain, ones * offset))

    @abstractmethod
    def channel_values(self, values: NDArray[Any]) -> Reals:
        """What elementwise operators behind the sums read as one number per channel, (channels,)."""

    def with_bias(self, bias: Constant | QuantizedConstant) -> Self:
        """This plus one number or one per channel; ``ValueError`` for any other shape."""
        values = self.channel_values(bias.values if isinstance(bias, Constant) else bias.real)
        if self.bias is None and self.affine is None:
            return replace(self, bias=bias)
        return self.with_affine(1.0, values)

    def sums(self, builder: GraphBuilder, name: str) -> Sums | None:
        """Add the layer with `raw`, which nothing rounds; None where codes are moved behind the sums."""
        return None

    def raw_fields(self, builder: GraphBuilder) -> tuple[dict[str, Any], Reals, Reals]:
        """(fields of a layer with `raw` behind its sums, scale, offset) as in `Sums`.

        What is no integer in the bias is left to the host.
        """
        weights, channels = self.weights, self.weights.channels
        x_scale = np.broadcast_to(np.float32(self.x.scale) if self.x_scale is None else self.x_scale, (channels,))
        bias, error = integer_bias(self.bias, x_scale, weights.scale)
        step = x_scale.astype(np.float64) * weights.scale
        offset = np.zeros(channels)
        if error.any():
            assert self.bias is not None
            real = self.bias.values if isinstance(self.bias, Constant) else self.bias.real
            bias, offset = np.zeros(channels, np.int64), offset + real.reshape(-1)
        check_bias(bias, builder.arithmetic)
        if self.affine is not None:
            step, offset = step * self.affine.gain, offset * self.affine.gain + self.affine.offset
        zeros = np.zeros(channels, np.int64)
        low, high = builder.arithmetic.activation_range
        fields = {**vars(Target(1.0, 0, low, high)), "inputs": (self.x.name,), "bias": bias, "raw": True}
        fields |= {"multiplier": zeros, "shift": zeros, "weight_zero_point": weights.zero_point}
        return fields, step, offset

    def requantization(self, builder: GraphBuilder, name: str, target: Target) -> tuple[Weights, dict[str, Any]]:
        """(weights, the layer's fields behind its sums), and a note of how far the bias is from the file's.

        The gain is part of the multiplier, a negative one changes the sign of weights and bias, and the offset is
        a part of the bias in real numbers.
        """
        weights, arithmetic = self.weights, builder.arithmetic
        channels = weights.channels
        x_scale = np.broadcast_to(np.float32(self.x.scale) if self.x_scale is None else self.x_scale, (channels,))
        y_scale = np.broadcast_to(np.float32(target.scale) if self.y_scale is None else self.y_scale, (channels,))
        bias, error = integer_bias(self.bias, x_scale, weights.scale)
        scale = layer_scales(x_scale, weights.scale, y_scale)
        if self.affine is not None:
            gain, offset = self.affine.gain, self.affine.offset
            if not (np.isfinite(gain).all() and np.isfinite(offset).all()):
                raise ValueError("what is multiplied and added behind the sums must be finite")
            still = gain == 0
            weights = weights.negated((gain < 0) & ~still, self.weight_axis, arithmetic)
            weights = weights.without(still, self.weight_axis)
            # A channel of gain 0 is its offset: 64 steps of a 64th of it.
            steps = np.where(still, np.abs(offset) / 64, np.abs(gain) * x_scale.astype(np.float64) * weights.scale)
            steps = np.where(steps > 0, steps, y_scale.astype(np.float64))
            added, rest = rounded_bias(offset, steps, np.ones(channels))
            bias = np.where(still, 0, np.where(gain < 0, -bias, bias)) + added
            error = np.where(still, 0, np.abs(gain) * error) + rest
            scale = steps / y_scale.astype(np.float64)
        check_bias(bias, arithmetic)
        builder.bias_errors[name] = float(np.max(error / y_scale))
        multiplier, shift = quantize_multiplier(scale, arithmetic)
        fields = {**vars(target), "inputs": (self.x.name,), "bias": bias, "multiplier": multiplier, "shift": shift}
        return weights, fields | {"weight_zero_point": weights.zero_point}


def channel_column(values: NDArray[Any], channels: int, rank: int) -> Reals:
    """One number, or (channels, 1, …) of `rank` axes with any leading axes of size 1, as (channels,)."""
    wanted = (channels, 1, 1)[:rank]
    if values.size != 1 and (values.shape[-rank:] != wanted or values.size != channels):
        raise ValueError(f"constants behind sums must have the shape {wanted}, not {values.shape}{ANY_SHAPE}")
    return np.broadcast_to(values.astype(np.float64).reshape(-1), (channels,))
