"""Scales: float32 values that are materialized once per optimizer step and used as they are everywhere else."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function

# An optimizer that normalizes its steps (Adam) moves a logarithm of a scale this many times as fast as a weight. The
# gradient is divided by the same factor, so that one which does not (SGD) moves it as if there were none.
LOG_GAIN = 30.0


class _Learned(Function):
    @staticmethod
    def forward(ctx: Any, log_ratio: Tensor, value: Tensor) -> Tensor:
        ctx.save_for_backward(value)
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (value,) = ctx.saved_tensors
        return gradient * value / LOG_GAIN, None


class Scale(nn.Module):
    """One positive float32 scale, or one per channel, learned in the log domain or set from outside.

    channels : None for a scalar
    learned : whether the parameter `log_ratio` exists; the scale is then calibrated · exp(LOG_GAIN · log_ratio)

    Buffers: `calibrated`, the value of the calibration, and `value`, the scale itself. `value` is recomputed only when
    `log_ratio` has changed (float32 ``exp`` differs between processors), so a checkpoint restores it bit for bit.
    A `log_ratio` of 0 is the calibrated scale: weight decay pulls there.
    """

    calibrated: Tensor
    value: Tensor
    materialized: Tensor

    def __init__(self, channels: int | None, learned: bool) -> None:
        super().__init__()
        shape = () if channels is None else (channels,)
        self.register_buffer("calibrated", torch.ones(shape))
        self.register_buffer("value", torch.ones(shape))
        if learned:
            self.log_ratio: nn.Parameter | None = nn.Parameter(torch.zeros(shape))
            self.register_buffer("materialized", torch.zeros(shape))
        else:
            self.register_parameter("log_ratio", None)

    @torch.no_grad()
    def set(self, scale: Tensor) -> None:
        """Make `scale`, positive and finite, the calibrated value and the value."""
        if not bool((torch.isfinite(scale) & (scale > 0)).all()):
            raise ValueError(f"scale must be positive and finite, not {scale.tolist()}")
        self.calibrated.copy_(scale)
        self.value.copy_(scale)
        if self.log_ratio is not None:
            self.log_ratio.zero_()
            self.materialized.zero_()

    def forward(self) -> Tensor:
        """The scale, with a gradient to `log_ratio`."""
        if self.log_ratio is None:
            return self.value.clone()
        with torch.no_grad():
            if not torch.equal(self.log_ratio, self.materialized):
                self.value.copy_(self.calibrated * torch.exp(LOG_GAIN * self.log_ratio))
                self.materialized.copy_(self.log_ratio)
        # A copy, so that the next step's value cannot reach this step's backward pass.
        result: Tensor = _Learned.apply(self.log_ratio, self.value.clone())  # type: ignore[no-untyped-call]
        return result
