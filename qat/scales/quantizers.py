"""`ActivationQuantizer`: what holds a tensor's scale, zero point and observed range; clamps and biases in its scale."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from emulator import Arithmetic, quantize

from ..distributed import gathered
from ..integers.chain import together
from ..integers.elements import biases
from ..integers.quantize import quantized
from ..integers.straight_through import straight_through
from ..integers.tensor import QuantizedTensor
from .observers import MOMENTUM, OBSERVERS, Observer
from .scale import SCALES, Scale
from .settings import LayerSettings

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

    def step_size(self, shape: Sequence[int], known: Mapping[Scale, Tensor]) -> Tensor:
        """The scale with its gradient, for a tensor of `shape` (batch, …); known : scales that the pass has made."""
        scale = self.scale
        if scale in known:
            return known[scale]
        least, most = self.code_range
        zero_point = int(self.zero_point)
        made: Tensor = scale(1 / math.sqrt(math.prod(shape[1:]) * max(zero_point - least, most - zero_point)))
        return made

    def limits(self, clamp: Clamp, scale: Tensor) -> tuple[int, int, int]:
        """(zero_point, y_min, y_max) under an activation function that clamps to `clamp`, quantized as on the host."""
        zero_point = int(self.zero_point)
        return zero_point, *quantized_bounds(clamp, scale, zero_point, *self.code_range)

    def forward(
        self, x: Tensor, clamp: Clamp = NO_CLAMP, known: Mapping[Scale, Tensor] = MappingProxyType({})
    ) -> QuantizedTensor:
        """Quantize real values as the host does, the division in float32, with a straight-through gradient.

        known : scales that the pass has made
        """
        scale = self.step_size(x.shape, known)
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


def quantized_bounds(clamp: Clamp, scale: Tensor, zero_point: int, least: int, most: int) -> tuple[int, int]:
    """(y_min, y_max): the real bounds of `clamp` quantized as on the host, within least … most."""
    low, high = clamp
    return _quantized_bound(low, scale, zero_point, least, most), _quantized_bound(high, scale, zero_point, least, most)


def _quantized_bound(bound: float, scale: Tensor, zero_point: int, least: int, most: int) -> int:
    # The bounds that most layers have need no arithmetic.
    if bound == -math.inf:
        return least
    if bound == math.inf:
        return most
    if bound == 0:
        return min(max(zero_point, least), most)
    return int(quantize(np.float32(bound), scale.item(), zero_point, least, most))


def quantize_bias(
    bias: Tensor, x_scale: Tensor, w_scale: Tensor, arithmetic: Arithmetic, correction: Tensor | None = None
) -> Tensor:
    """``round_half_even((bias + correction) / (sx·sw))``, the quotient in float64, clamped to min(P, 32) bits.

    Returns float64 integers (channels,), with a gradient to all but the correction.
    """
    if correction is None:
        correction = torch.zeros_like(bias, requires_grad=False)
    if together(bias, w_scale, correction):
        return biases(bias, x_scale, w_scale, correction, arithmetic.bias_range)
    surrogate = (bias + correction).double() / (x_scale.double() * w_scale.double())
    rounded = surrogate.detach().round()
    codes = rounded.clamp(*arithmetic.bias_range)
    return straight_through(surrogate, codes, codes == rounded)
