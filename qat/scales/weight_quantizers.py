"""Quantizers of weights: what holds their scales and zero points, and makes codes of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from emulator import Arithmetic

from ..integers.chain import Chain, together
from ..integers.matrix.matrix_step import WeightCodes
from ..integers.quantize import quantized
from ..integers.straight_through import straight_through
from .scale import SCALES, Scale
from .settings import LayerSettings
from .weight_scales import code_range, weight_scales


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

    def step_sizes(self, weight: Tensor, known: Mapping[Scale, Tensor]) -> Tensor:
        """The scales (channels,) with their gradient; known : scales that the pass has made."""
        scale = self.scale
        if scale in known:
            return known[scale].expand(self.channels)
        shared = weight.numel() // self.channels if self.settings.per_channel else weight.numel()
        made: Tensor = scale(1 / math.sqrt(shared * self.limit))
        return made.expand(self.channels)

    def chained(
        self, weight: Tensor, known: Mapping[Scale, Tensor], chain: Chain
    ) -> tuple[Tensor, Tensor, WeightCodes] | None:
        """`forward` as a step of `chain`, once in it: what stands for the codes, the scales, the step; None if not."""
        if self not in chain.weights:
            if self.zero_point is not None or self.offsets is not None or not together(weight):
                return None
            scale, made = self.step_sizes(weight, known), WeightCodes(self.limit, weight.requires_grad)
            chain.weights[self] = chain.add(made, (weight, scale), ()), scale, made
        return chain.weights[self]

    def forward(self, weight: Tensor, known: Mapping[Scale, Tensor] = MappingProxyType({})) -> tuple[Tensor, Tensor]:
        """(codes minus zero points as float32 of weight's shape, scales (channels,)), both with gradients.

        known : scales that the pass has made
        """
        scale = self.step_sizes(weight, known)
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
