"""Codes of real values, and sums over them: one compiled pass on the CPU, torch's operators elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from emulator.operators.products.walk import numba_installed

from .rows import rows, run
from .straight_through import straight_through


def quantized(x: Tensor, scale: Tensor, low: int, high: int) -> Tensor:
    """``clamp(round_half_even(x / scale), low, high)``, the division in float32, and its straight-through gradients.

    x : float32, at least one axis; scale : float32, a scalar, or (n,) with one for each ``x[i]``

    Returns float32 integers of x's shape.
    """
    if not _compiled(x):
        return plain_quantized(x, scale, low, high)
    result: Tensor = _Quantized.apply(x, scale, low, high)  # type: ignore[no-untyped-call]
    return result


def plain_quantized(x: Tensor, scale: Tensor, low: int, high: int) -> Tensor:
    """`quantized` by torch's operators."""
    # Divided by a tensor of x's rank: a scalar divisor may become a product with its reciprocal.
    surrogate = x / scale.view(-1, *[1] * (x.ndim - 1))
    rounded = surrogate.detach().round()
    codes = rounded.clamp(low, high)
    return straight_through(surrogate, codes, codes == rounded)


def subset_bounds(weight: Tensor, low: int, high: int) -> tuple[Tensor, Tensor]:
    """Largest sum of a subset of the terms x · w of each output, and minus the smallest: float64 (outputs,).

    weight : integers −255 … 255 as float32, (outputs, …); low ≤ 0 ≤ high : the extremes of x
    """
    weight = weight.detach()
    if _compiled(weight):
        from . import kernels

        arrays = rows(weight), *(np.empty(len(weight)) for _ in range(2))
        run(kernels.magnitudes, arrays)
        total, magnitude = map(torch.from_numpy, arrays[1:])
    else:
        total, magnitude = (part.flatten(1).double().sum(1) for part in (weight, weight.abs()))
    positive, negative = (magnitude + total) / 2, (magnitude - total) / 2
    return high * positive - low * negative, high * negative - low * positive


class _Quantized(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, low: int, high: int) -> Tensor:
        from . import kernels

        x = x.contiguous()
        codes, inside = torch.empty_like(x), torch.empty_like(x, dtype=torch.bool)
        scales = scale.expand(len(x)).contiguous().numpy()
        run(kernels.quantize, (rows(x), scales, rows(codes), rows(inside)), np.float32(low), np.float32(high))
        ctx.save_for_backward(x, scale, inside)
        return codes

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, None, None]:
        from . import kernels

        x, scale, inside = ctx.saved_tensors
        to_scale = torch.empty(len(x), dtype=torch.float64)
        arrays = rows(gradient), rows(inside), rows(x), scale.expand(len(x)).contiguous().numpy()
        to_x = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        if to_x is None:
            run(kernels.scale_gradients, (*arrays, to_scale.numpy()))
        else:
            run(kernels.quantize_gradients, (*arrays, rows(to_x), to_scale.numpy()))
        return to_x, (to_scale if scale.ndim else to_scale.sum()).float(), None, None


def _compiled(x: Tensor) -> bool:
    return x.device.type == "cpu" and x.dtype == torch.float32 and x.ndim > 0 and x.numel() > 0 and numba_installed()
