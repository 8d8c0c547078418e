"""Compiled passes over the planes of (batch, channels, …) tensors on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from emulator import Arithmetic
from emulator.operators.products.walk import numba_installed

from .requantize import exact_ratio
from .rounding import float_thresholds, integer_thresholds
from .rows import rows, run

FLOATS = (torch.float32, torch.float64)


def compiled(x: Tensor, per_channel: Tensor | None = None) -> bool:
    """Whether there are kernels for the planes of `x`, and a factor of shape (channels, 1, …)."""
    planes = x.device.type == "cpu" and x.dtype in FLOATS and x.ndim > 2 and x.numel() > 0
    fits = per_channel is None or per_channel.shape == (x.shape[1], *[1] * (x.ndim - 2))
    return planes and fits and numba_installed()


def channel_moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and unbiased variance of each channel of (batch, channels, …), float64."""
    axes = [axis for axis in range(x.ndim) if axis != 1]
    if not compiled(x):
        variance, mean = torch.var_mean(x.double(), axes)
        return mean, variance
    from . import kernels

    sums, squares = (np.empty(x.shape[0] * x.shape[1]) for _ in range(2))
    run(kernels.moments, (rows(x, 2), sums, squares))
    total, square = (torch.from_numpy(part).view(x.shape[:2]).sum(0) for part in (sums, squares))
    count = x.numel() // x.shape[1]
    # What rounds may be a little less than 0.
    return total / count, (square - total * total / count).clamp(min=0) / (count - 1)


def requantize_planes(
    acc: Tensor,
    factors: tuple[Tensor, Tensor],
    ratio: Tensor,
    top: Tensor | None,
    low: int,
    high: int,
    arithmetic: Arithmetic,
    bound: int,
) -> Tensor:
    """``clamp(round(acc · multiplier / 2^shift), low, high)`` in one pass, and its gradient in another.

    acc : float32 or float64 integers (batch, channels, …); bound : at least |acc|
    factors : multiplier and shift, int64, (channels, 1, …)
    ratio : float32, shaped alike, what the gradient sees in the place of the quotient of the two
    top : a scalar that stands, for the gradient, for all values above `high`; None if they are constant

    Returns float32 integers; gradients are float32.
    """
    result: Tensor = _Requantize.apply(acc, ratio, top, factors, low, high, arithmetic, bound)  # type: ignore[no-untyped-call]
    return result


class _Requantize(Function):
    @staticmethod
    def forward(
        ctx: Any,
        acc: Tensor,
        ratio: Tensor,
        top: Tensor | None,
        factors: tuple[Tensor, Tensor],
        low: int,
        high: int,
        arithmetic: Arithmetic,
        bound: int,
    ) -> Tensor:
        from . import kernels

        acc = acc.contiguous()
        values, state = (torch.empty_like(acc, dtype=kind) for kind in (torch.float32, torch.uint8))
        multiplier, shift = factors
        exact, made = exact_ratio(multiplier, shift, bound), (rows(values, 2), rows(state, 2))
        places = _per_plane(acc, shift)
        if exact is not None:
            floats = _per_plane(acc, exact), float_thresholds(places, arithmetic)
            run(kernels.requantize, (rows(acc, 2), *floats, *made), float(low), float(high))
        else:
            integers = _per_plane(acc, multiplier), places, integer_thresholds(places, arithmetic)
            run(kernels.requantize_long, (rows(acc, 2), *integers, *made), np.int64(low), np.int64(high))
        # Only the gradient of the ratio needs the sums.
        ctx.save_for_backward(acc if ctx.needs_input_grad[1] else None, ratio, state)
        return values

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        from . import kernels

        acc, ratio, state = ctx.saved_tensors
        gradient = gradient.contiguous()
        to_acc = torch.empty_like(gradient)
        to_ratio, to_top = (np.empty(gradient.shape[0] * gradient.shape[1]) for _ in range(2))
        sums = rows(gradient if acc is None else acc, 2)
        factors = _per_plane(gradient, ratio)
        arrays = rows(gradient, 2), rows(state, 2), sums, factors, rows(to_acc, 2), to_ratio, to_top
        run(kernels.gradients, arrays)
        of_ratio = torch.from_numpy(to_ratio).view(gradient.shape[:2]).sum(0).view(ratio.shape).float()
        of_top = torch.tensor(to_top.sum(), dtype=torch.float32)
        return to_acc, None if acc is None else of_ratio, of_top if ctx.needs_input_grad[2] else None, *[None] * 5


def _per_plane(x: Tensor, per_channel: Tensor) -> NDArray[Any]:
    array: NDArray[Any] = per_channel.detach().flatten().repeat(x.shape[0]).numpy()
    return array
