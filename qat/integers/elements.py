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


def biases(bias: Tensor, x_scale: Tensor, w_scale: Tensor, correction: Tensor, ends: tuple[int, int]) -> Tensor:
    """``clamp(round_half_even((bias + correction) / (sx·sw)))``, the quotient in float64, `ends` being the clamp.

    bias, w_scale, correction : float32 (channels,). Returns float64.
    """
    made: Tensor = _Bias.apply(bias, x_scale, w_scale, correction, ends)  # type: ignore[no-untyped-call]
    return made


def _flat(x: Tensor) -> NDArray[Any]:
    array: NDArray[Any] = x.detach().numpy().reshape(-1)
    return array


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
