"""The passes of a matrix product's layer around the product: its bias and its requantization, with their gradients.

Sums over elements are float64, whose order is the compiler's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from .element_steps import Range
from .rounding import float_thresholds


def requantized_columns(
    acc: Tensor,
    scales: tuple[Tensor, Tensor, Tensor],
    multiplier: NDArray[np.int64],
    shift: NDArray[np.int64],
    ends: Range,
) -> Tensor:
    """``clamp(round(acc · multiplier / 2^shift))`` of (rows, channels) with factors for each channel.

    The rounding is one whose thresholds are the same for all shifts (`rounding.SIMPLE`).

    scales : of the input, of the channels' weights, of the result
    """
    made: Tensor = _Columns.apply(acc, *scales, multiplier, shift, ends)  # type: ignore[no-untyped-call]
    return made


def biases(bias: Tensor, x_scale: Tensor, w_scale: Tensor, correction: Tensor, ends: tuple[int, int]) -> Tensor:
    """``clamp(round_half_even((bias + correction) / (sx·sw)))``, the quotient in float64, `ends` being the clamp.

    bias, w_scale, correction : float32 (channels,). Returns float64.
    """
    made: Tensor = _Bias.apply(bias, x_scale, w_scale, correction, ends)  # type: ignore[no-untyped-call]
    return made


def _flat(x: Tensor) -> NDArray[Any]:
    array: NDArray[Any] = x.detach().numpy().reshape(-1)
    return array


class _Columns(Function):
    @staticmethod
    def forward(
        ctx: Any,
        acc: Tensor,
        x_scale: Tensor,
        w_scale: Tensor,
        y_scale: Tensor,
        multiplier: NDArray[np.int64],
        shift: NDArray[np.int64],
        ends: Range,
    ) -> Tensor:
        from . import element_kernels

        ratio = np.ldexp(multiplier.astype(np.float64), -shift)
        values, state = np.empty(acc.shape, np.float32), np.empty(acc.shape, np.uint8)
        acc = acc.contiguous()
        thresholds = float_thresholds(shift[:1], ends.arithmetic)[0]
        low, high = float(ends.low), float(ends.high)
        element_kernels.columns(acc.numpy(), ratio, thresholds, values, state, low, high)
        ctx.save_for_backward(acc, w_scale)
        ctx.state = state
        ctx.scales = x_scale.item(), y_scale.item()
        return torch.from_numpy(values)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        from . import element_kernels

        (acc, w_scale), (x_scale, y_scale) = ctx.saved_tensors, ctx.scales
        to_acc, to_ratio = np.empty(acc.shape, np.float32), np.zeros(acc.shape[1])
        weights = w_scale.numpy()
        unit = weights * np.float32(x_scale / y_scale)
        gradients = gradient.detach().contiguous().numpy(), ctx.state, acc.numpy(), unit
        element_kernels.column_gradients(*gradients, to_acc, to_ratio)
        total = float(to_ratio @ weights)
        to_weights = torch.from_numpy((to_ratio * (x_scale / y_scale)).astype(np.float32))
        to_x_scale, to_y_scale = _scalars(total / y_scale, -total * x_scale / y_scale**2)
        return torch.from_numpy(to_acc), to_x_scale, to_weights, to_y_scale, None, None, None


class _Bias(Function):
    @staticmethod
    def forward(
        ctx: Any, bias: Tensor, x_scale: Tensor, w_scale: Tensor, correction: Tensor, ends: tuple[int, int]
    ) -> Tensor:
        from . import element_kernels

        codes = torch.empty(bias.shape, dtype=torch.float64)
        w_scale = w_scale.contiguous()
        ctx.save_for_backward(bias, w_scale)
        ctx.rest = _flat(correction), x_scale.item(), *map(float, ends)
        given, step, low, high = ctx.rest
        element_kernels.bias(_flat(bias), given, step, _flat(w_scale), low, high, _flat(codes))
        return codes

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        from . import element_kernels

        (bias, w_scale), (correction, step, low, high) = ctx.saved_tensors, ctx.rest
        to_bias, to_w = torch.empty(bias.shape), torch.empty(bias.shape)
        arrays = _flat(gradient), _flat(bias), correction, step, _flat(w_scale), low, high
        to_x = element_kernels.bias_gradients(*arrays, _flat(to_bias), _flat(to_w))
        return to_bias, *_scalars(to_x), to_w, None, None


def _scalars(*values: float) -> tuple[Tensor, ...]:
    return torch.from_numpy(np.array(values, np.float32)).unbind()
