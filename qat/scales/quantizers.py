"""Quantizers of activations and weights: what holds a tensor's scale, zero point and observed range."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from emulator import Arithmetic, quantize

from ..distributed import gathered
from ..integers.quantize import quantized
from ..integers.straight_through import straight_through
from ..integers.tensor import QuantizedTensor
from .observers import MOMENTUM, OBSERVERS, Observer
from .scale import SCALES
from .settings import LayerSettings
from .weight_scales import code_range, weight_scales

Clamp = tuple[float, float]
NO_CLAMP: Clamp = (-math.inf, math.inf)


class ActivationQuantizer(nn.Module):
    """One scale and zero point per tensor, from a range that an observer finds.

    Scales that are not learned follow the observer while training.

    Buffers: `low` ≤ 0 ≤ `high`, the observed range, and `zero_point`.
    """

    low: Tensor
    high: Tensor
    zero_point: Tensor

    def __init__(self, settings: LayerSettings, arithmetic: Arithmetic) -> None:
        super().__init__()
        self.settings, self.grid = settings, settings.grid(arithmetic)
        self.scale = SCALES[settings.scale](None)
        self.observer: Observer | None = None  # while calibrating
        self.register_buffer("low", torch.zeros(()))
        self.register_buffer("high", torch.zeros(()))
        self.register_buffer("zero_point", torch.zeros((), dtype=torch.int64))

    @property
    def bits(self) -> int:
        """Of every code; who changes them has to `settle` or `span` anew."""
        return self.grid.bits

    @bits.setter
    def bits(self, bits: int) -> None:
        self.grid = replace(self.grid, bits=bits)

    @property
    def code_range(self) -> tuple[int, int]:
        """Smallest and largest code."""
        return self.grid.code_range

    def new_observer(self) -> Observer:
        """An observer that has seen nothing."""
        return OBSERVERS[self.settings.observer](self.grid, self.settings.percentile)

    def reset(self) -> None:
        """Forget what was observed."""
        self.observer = self.new_observer()

    @torch.no_grad()
    def observe(self, x: Tensor) -> None:
        """Show the values of `x`, finite, to the observer."""
        if self.observer is None:
            self.reset()
        assert self.observer is not None
        self.observer.observe(x.float())

    @torch.no_grad()
    def settle(self) -> None:
        """Take the observer's range and set scale and zero point so that the codes span it."""
        if self.observer is not None:
            self.observer.synchronize()
            low, high = self.observer.range()
            self.low.fill_(low)
            self.high.fill_(high)
            self.observer = None
        self.span()

    @torch.no_grad()
    def follow(self, x: Tensor) -> None:
        """Move the range a little towards the one observed in `x`, and the scale with it; infinities are left out."""
        finite = x[x.isfinite()].float()
        if bool(gathered(torch.tensor(finite.numel())).any()):
            observer = self.new_observer()
            observer.observe(finite)
            observer.synchronize()
            for end, seen in zip((self.low, self.high), observer.range(), strict=True):
                end.lerp_(torch.as_tensor(seen).to(end), MOMENTUM)
            self.span()

    @torch.no_grad()
    def span(self) -> None:
        """Set scale and zero point so that the codes span the range from `low` to `high`."""
        scale, zero_point = self.grid.parameters(float(self.low), float(self.high))
        self.scale.set(torch.tensor(scale))
        self.zero_point.fill_(zero_point)

    def step_size(self, shape: Sequence[int]) -> Tensor:
        """The scale with its gradient, for a tensor of `shape` (batch, …)."""
        least, most = self.code_range
        zero_point = int(self.zero_point)
        scale: Tensor = self.scale(1 / math.sqrt(math.prod(shape[1:]) * max(zero_point - least, most - zero_point)))
        return scale

    def limits(self, clamp: Clamp, scale: Tensor) -> tuple[int, int, int]:
        """(zero_point, y_min, y_max) under an activation function that clamps to `clamp`, quantized as on the host."""
        zero_point = int(self.zero_point)
        return zero_point, *quantized_bounds(clamp, scale, zero_point, *self.code_range)

    def forward(self, x: Tensor, clamp: Clamp = NO_CLAMP) -> QuantizedTensor:
        """Quantize real values as the host does, the division in float32, with a straight-through gradient."""
        scale = self.step_size(x.shape)
        zero_point, y_min, y_max = self.limits(clamp, scale)
        return QuantizedTensor(
            centered=quantized(x.float(), scale, y_min - zero_point, y_max - zero_point),
            scale=scale,
            zero_point=zero_point,
            y_min=y_min,
            y_max=y_max,
        )

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Refuse a zero point that is no code, as a state of other activation bits may hold."""
        super()._load_from_state_dict(state_dict, prefix, *args)
        *_, error_messages = args
        least, most = (0, 0) if self.grid.symmetric else self.code_range
        found = state_dict.get(f"{prefix}zero_point")
        if isinstance(found, Tensor) and not least <= int(found) <= most:
            error_messages.append(f"{prefix}zero_point must be from {least} to {most}, not {int(found)}")


class WeightQuantizer(nn.Module):
    """Scales per output channel or for all; symmetric codes are −(2^(bits−1) − 1) … 2^(bits−1) − 1, others use all.

    Buffers: `offsets`, int8 of weight's shape, what a learned rounding adds to the nearest code; None without one;
    `zero_point`, int64 shaped as the scales, the code of 0; None where the settings say that it is 0.
    """

    offsets: Tensor | None
    zero_point: Tensor | None

    def __init__(self, channels: int, settings: LayerSettings, arithmetic: Arithmetic) -> None:
        super().__init__()
        self.arithmetic, self.settings, self.channels = arithmetic, settings, channels
        self.bits = settings.weight_bits or arithmetic.weight_bits
        self.scale = SCALES[settings.scale](channels if settings.per_channel else None)
        zeros = torch.zeros_like(self.scale().detach(), dtype=torch.int64)
        self.register_buffer("offsets", None)
        self.register_buffer("zero_point", None if settings.symmetric_weights else zeros)

    @property
    def limit(self) -> int:
        """The largest code; that of symmetric ones is also the magnitude of the smallest."""
        return (1 << (self.bits - 1)) - 1

    def clamped(self, centered: Tensor) -> Tensor:
        """`centered`, code − zero_point of weights (channels, …) as floats, brought to what legal codes have."""
        if self.zero_point is None:
            return centered.clamp(-self.limit, self.limit)
        zero = self.zero_point.view(-1, *[1] * (centered.ndim - 1)).to(centered.dtype)
        least, most = code_range(False, self.bits)
        return torch.minimum(torch.maximum(centered, least - zero), most - zero)

    @property
    def zero_points(self) -> Tensor | None:
        """(channels,) int64; None where all are 0 by the settings."""
        return None if self.zero_point is None else self.zero_point.expand(self.channels)

    @torch.no_grad()
    def settle(self, weight: Tensor) -> None:
        """Set the scales and the zero points from the weights."""
        scale, zero = weight_scales(weight.detach().cpu().numpy(), self.arithmetic, self.settings, self.bits)
        self.scale.set(torch.from_numpy(scale).to(weight.device))
        if self.zero_point is not None:
            self.zero_point.copy_(torch.from_numpy(zero))

    @torch.no_grad()
    def nearest(self, weight: Tensor) -> Tensor:
        """The nearest codes minus their zero points as float32, whatever `offsets` says."""
        return self.clamped((weight / self.scale().view(-1, *[1] * (weight.ndim - 1))).round())

    def forward(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """(codes minus zero points as float32 of weight's shape, scales (channels,)), both with gradients."""
        shared = weight.numel() // self.channels if self.settings.per_channel else weight.numel()
        scale = self.scale(1 / math.sqrt(shared * self.limit)).expand(self.channels)
        if self.zero_point is None:
            codes = quantized(weight, scale, -self.limit, self.limit)
        else:
            surrogate = weight / scale.view(-1, *[1] * (weight.ndim - 1))
            rounded = surrogate.detach().round()
            nearest = self.clamped(rounded)
            codes = straight_through(surrogate, nearest, nearest == rounded)
        if self.offsets is not None:
            moved = self.clamped(codes.detach() + self.offsets)
            codes = straight_through(codes, moved)
        return codes, scale

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Have `offsets` where the state has them, and only there; refuse a zero point that is no code."""
        offsets = state_dict.get(f"{prefix}offsets")
        self.offsets = None if offsets is None else torch.zeros_like(offsets, device=self.scale.value.device)
        super()._load_from_state_dict(state_dict, prefix, *args)
        *_, error_messages = args
        found, (least, most) = state_dict.get(f"{prefix}zero_point"), code_range(False, self.bits)
        if isinstance(found, Tensor) and bool(((found < least) | (found > most)).any()):
            error_messages.append(f"{prefix}zero_point must be from {least} to {most}, not {found.tolist()}")


class FixedWeightQuantizer(WeightQuantizer):
    """Of weights that are never trained, with one scale for all, which nothing learns.

    unit : the scale, where all weights fit the codes with it and it is of the settings' kind
    """

    def __init__(self, channels: int, settings: LayerSettings, arithmetic: Arithmetic, unit: float) -> None:
        kind = "power_of_two" if settings.scale == "power_of_two" else "free"
        super().__init__(channels, replace(settings, scale=kind, per_channel=False, symmetric_weights=True), arithmetic)
        self.unit = unit

    @torch.no_grad()
    def settle(self, weight: Tensor) -> None:
        """Set the scale to the unit, or as for other weights."""
        is_power = math.frexp(self.unit)[0] == 0.5
        fits = float(weight.abs().max()) <= self.unit * (self.limit + 0.25)
        if fits and (is_power or self.settings.scale != "power_of_two"):
            self.scale.set(torch.tensor(self.unit, device=weight.device))
        else:
            super().settle(weight)


def quantized_bounds(clamp: Clamp, scale: Tensor, zero_point: int, least: int, most: int) -> tuple[int, int]:
    """(y_min, y_max): the real bounds of `clamp` quantized as on the host, within least … most."""
    # The bounds that most layers have need no arithmetic.
    known = {-math.inf: least, 0.0: min(max(zero_point, least), most), math.inf: most}
    low, high = (
        known[bound] if bound in known else int(quantize(np.float32(bound), scale.item(), zero_point, least, most))
        for bound in clamp
    )
    return low, high


def quantize_bias(bias: Tensor, x_scale: Tensor, w_scale: Tensor, arithmetic: Arithmetic) -> Tensor:
    """``round_half_even(bias / (sx·sw))`` in float64, clamped to min(P, 32) bits: (channels,), with a gradient."""
    surrogate = bias.double() / (x_scale.double() * w_scale.double())
    rounded = surrogate.detach().round()
    codes = rounded.clamp(*arithmetic.bias_range)
    return straight_through(surrogate, codes, codes == rounded)
