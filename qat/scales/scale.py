"""Scales: float32 values that are materialized once per optimizer step and used as they are everywhere else."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function

from .grid import power_of_two_above

# An optimizer that normalizes its steps (Adam) moves a logarithm of a scale this many times as fast as a weight. The
# gradient is divided by the same factor, so that one which does not (SGD) moves it as if there were none.
LOG_GAIN = 30.0
LEAST_STEP = 2**-10  # of the calibrated scale: where a learned one stops


class _Learned(Function):
    """The value of a scale with a gradient to its parameter: the scale's times factor / divisor."""

    @staticmethod
    def forward(ctx: Any, parameter: Tensor, value: Tensor, factor: Tensor | float, divisor: float) -> Tensor:
        ctx.factor, ctx.divisor = factor, divisor
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        return gradient * ctx.factor / ctx.divisor, None, None, None


class Scale(nn.Module):
    """One positive float32 scale, or one per channel, set from outside: by calibration, by observers in training.

    channels : None for a scalar

    Buffer: `value`. `learned` tells whether the scale has a parameter, and then observers leave it alone in training.
    """

    learned = False
    value: Tensor

    def __init__(self, channels: int | None) -> None:
        super().__init__()
        self.register_buffer("value", torch.ones(() if channels is None else (channels,)))

    @torch.no_grad()
    def set(self, scale: Tensor) -> None:
        """Make `scale`, positive and finite, the scale."""
        # One number is read sooner than a tensor is searched, and most scales are one.
        values = [scale.item()] if scale.numel() == 1 else scale[~(torch.isfinite(scale) & (scale > 0))][:1].tolist()
        if values and not 0 < values[0] < math.inf:
            raise ValueError(f"scale must be positive and finite, not {values[0]}")
        self.value.copy_(scale)

    def forward(self, gradient_scale: float = 1.0) -> Tensor:
        """The scale; one that is learned has a gradient to its parameter.

        gradient_scale : LSQ's factor of the gradient, 1/sqrt(numel·Qmax); the other kinds have no use for it
        """
        # A copy, so that the next step's value cannot reach this step's backward pass.
        return self.value.clone()


class PowerOfTwoScale(Scale):
    """Scales rounded up to powers of two, set from outside."""

    @torch.no_grad()
    def set(self, scale: Tensor) -> None:
        """Make the power of two that is at least `scale`, positive and finite, the scale."""
        super().set(scale)  # refuses what is not a scale
        super().set(torch.from_numpy(power_of_two_above(scale.detach().cpu().numpy())).to(scale.device))


class LearnedScale(Scale):
    """LSQ: the scale is itself the parameter `step` (Esser et al., "Learned Step Size Quantization", 2020).

    Its gradient is multiplied by 1/sqrt(numel·Qmax); numel is the number of weights that share the scale, or of the
    tensor's features, not counting the batch. Weight decay must not be applied to it. A step below 2^−10 of the
    `calibrated` value counts as that.
    """

    learned = True
    calibrated: Tensor

    def __init__(self, channels: int | None) -> None:
        super().__init__(channels)
        self.register_buffer("calibrated", torch.ones_like(self.value))
        self.step = nn.Parameter(torch.ones_like(self.value))

    @torch.no_grad()
    def set(self, scale: Tensor) -> None:
        super().set(scale)
        self.calibrated.copy_(self.value)
        self.step.copy_(self.value)

    def forward(self, gradient_scale: float = 1.0) -> Tensor:
        with torch.no_grad():
            # The larger of two floats is exact on every processor.
            Scale.set(self, torch.maximum(self.step, self.calibrated * LEAST_STEP))
        value = self.value.clone()
        result: Tensor = _Learned.apply(self.step, value, gradient_scale, 1.0)  # type: ignore[no-untyped-call]
        return result


class LogScale(Scale):
    """A scale learned in the log domain: calibrated · exp(LOG_GAIN · log_ratio), with the parameter `log_ratio`.

    Buffers: `calibrated`, the value of the calibration. `value` is recomputed only when `log_ratio` has changed
    (float32 ``exp`` differs between processors), so a checkpoint restores it bit for bit. A `log_ratio` of 0 is the
    calibrated scale: weight decay pulls there. It moves by ratios, which suits scales that must grow many times over to
    fit a narrow accumulator.
    """

    learned = True
    calibrated: Tensor
    materialized: Tensor

    def __init__(self, channels: int | None) -> None:
        super().__init__(channels)
        self.register_buffer("calibrated", torch.ones_like(self.value))
        self.register_buffer("materialized", torch.zeros_like(self.value))
        self.log_ratio = nn.Parameter(torch.zeros_like(self.value))

    @torch.no_grad()
    def set(self, scale: Tensor) -> None:
        super().set(scale)
        self.calibrated.copy_(self.value)
        self.log_ratio.zero_()
        self.materialized.zero_()

    def forward(self, gradient_scale: float = 1.0) -> Tensor:
        with torch.no_grad():
            if not torch.equal(self.log_ratio, self.materialized):
                Scale.set(self, self.calibrated * torch.exp(LOG_GAIN * self.log_ratio))
                self.materialized.copy_(self.log_ratio)
        value = self.value.clone()
        result: Tensor = _Learned.apply(self.log_ratio, value, value, LOG_GAIN)  # type: ignore[no-untyped-call]
        return result


SCALES: dict[str, Callable[[int | None], Scale]] = {
    "free": Scale,
    "power_of_two": PowerOfTwoScale,
    "learned": LearnedScale,
    "learned_log": LogScale,
}
