"""Quantizers of activations and weights: what holds a tensor's scale, zero point and observed range."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from emulator import Arithmetic, quantize, weight_scale

from .scale import Scale
from .straight_through import straight_through
from .tensor import QuantizedTensor

Clamp = tuple[float, float]
NO_CLAMP: Clamp = (-math.inf, math.inf)
MOMENTUM = 0.1  # of the observers, in training


class ActivationQuantizer(nn.Module):
    """One scale and zero point per tensor, from the smallest and largest value that was observed.

    bits : 2–8, width of the codes; all codes are used
    learned : whether the scale is a parameter; otherwise it follows the observer while training

    Buffers: `low` ≤ 0 ≤ `high`, the observed range, and `zero_point`.
    """

    low: Tensor
    high: Tensor
    zero_point: Tensor

    def __init__(self, bits: int, learned: bool) -> None:
        super().__init__()
        self.bits = bits
        self.scale = Scale(None, learned)
        self.register_buffer("low", torch.zeros(()))
        self.register_buffer("high", torch.zeros(()))
        self.register_buffer("zero_point", torch.zeros((), dtype=torch.int64))

    @property
    def code_range(self) -> tuple[int, int]:
        """Smallest and largest code."""
        return -(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1

    @torch.no_grad()
    def reset(self) -> None:
        """Forget the observed range."""
        self.low.zero_()
        self.high.zero_()

    @torch.no_grad()
    def observe(self, x: Tensor) -> None:
        """Widen the observed range to the values of `x`."""
        if x.numel():
            self.low.copy_(torch.minimum(self.low, x.min()))
            self.high.copy_(torch.maximum(self.high, x.max()))

    @torch.no_grad()
    def follow(self, x: Tensor) -> None:
        """Move the observed range a little towards that of `x`, and the scale with it; infinities are left out."""
        finite = x[x.isfinite()]
        if finite.numel():
            self.low.lerp_(finite.min().clamp(max=0), MOMENTUM)
            self.high.lerp_(finite.max().clamp(min=0), MOMENTUM)
            self.settle()

    @torch.no_grad()
    def settle(self) -> None:
        """Set scale and zero point so that the codes span the observed range."""
        least, most = self.code_range
        low, high = float(self.low), float(self.high)
        if not (math.isfinite(low) and math.isfinite(high)):
            raise ValueError(f"values to calibrate with must be finite, not from {low} to {high}")
        scale = np.float32((high - low) / (most - least)) or np.float32(1)
        self.scale.set(torch.tensor(scale))
        self.zero_point.fill_(min(max(least + round(-low / float(scale)), least), most))

    def limits(self, clamp: Clamp, scale: Tensor) -> tuple[int, int, int]:
        """(zero_point, y_min, y_max) under an activation function that clamps to `clamp`, quantized as on the host."""
        zero_point = int(self.zero_point)
        return zero_point, *quantized_bounds(clamp, scale, zero_point, *self.code_range)

    def forward(self, x: Tensor, clamp: Clamp = NO_CLAMP) -> QuantizedTensor:
        """Quantize real values as the host does, the division in float32, with a straight-through gradient."""
        scale = self.scale()
        zero_point, y_min, y_max = self.limits(clamp, scale)
        # Divided by a tensor of x's rank: a scalar divisor may become a product with its reciprocal.
        surrogate = x.float() / scale.view([1] * x.ndim)
        rounded = surrogate.detach().round()
        centered = rounded.clamp(y_min - zero_point, y_max - zero_point)
        return QuantizedTensor(
            centered=straight_through(surrogate, centered, centered == rounded),
            scale=scale,
            zero_point=zero_point,
            y_min=y_min,
            y_max=y_max,
        )


class WeightQuantizer(nn.Module):
    """Symmetric scales per output channel; codes −(2^(bits−1) − 1) … 2^(bits−1) − 1."""

    def __init__(self, channels: int, arithmetic: Arithmetic, learned: bool) -> None:
        super().__init__()
        self.arithmetic = arithmetic
        self.scale = Scale(channels, learned)

    @torch.no_grad()
    def settle(self, weight: Tensor) -> None:
        """Set the scales from the largest magnitude per channel (axis 0)."""
        scale = weight_scale(weight.detach().cpu().numpy(), self.arithmetic)
        self.scale.set(torch.from_numpy(scale).to(weight.device))

    def forward(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """(codes as float32 of weight's shape, scales (channels,)), both with gradients."""
        scale = self.scale()
        limit = (1 << (self.arithmetic.weight_bits - 1)) - 1
        surrogate = weight / scale.view(-1, *[1] * (weight.ndim - 1))
        rounded = surrogate.detach().round()
        codes = rounded.clamp(-limit, limit)
        return straight_through(surrogate, codes, codes == rounded), scale


def quantized_bounds(clamp: Clamp, scale: Tensor, zero_point: int, least: int, most: int) -> tuple[int, int]:
    """(y_min, y_max): the real bounds of `clamp` quantized as on the host, within least … most."""
    low, high = (int(quantize(np.float32(bound), scale.item(), zero_point, least, most)) for bound in clamp)
    return low, high


def quantize_bias(bias: Tensor, x_scale: Tensor, w_scale: Tensor, arithmetic: Arithmetic) -> Tensor:
    """``round_half_even(bias / (sx·sw))`` in float64, clamped to min(P, 32) bits: (channels,), with a gradient."""
    surrogate = bias.double() / (x_scale.double() * w_scale.double())
    rounded = surrogate.detach().round()
    codes = rounded.clamp(*arithmetic.bias_range)
    return straight_through(surrogate, codes, codes == rounded)
