"""Layers that compute element by element, each in one compiled pass, and its gradients in another.

Forward values are the contract's integers. Gradients are those of the real-valued expression, straight through the
rounding and nothing where the clamp changed a value; sums over elements are float64, whose order is the compiler's.

a, b, x : float32 integers code − zero_point on the CPU, of one shape; scales : float32 scalars, or (channels,)
low, high : the smallest and the largest code of the result, less its zero point
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from emulator import Arithmetic
from emulator.operators.products.walk import numba_installed

from .requantize import EXACT_FLOAT64
from .rounding import float_thresholds


@dataclass(frozen=True)
class Range:
    """The clamp of a result, and how it is rounded."""

    low: int
    high: int
    arithmetic: Arithmetic


def together(*tensors: Tensor) -> bool:
    """Whether there are passes for these operands: float32 on the CPU, of one shape, and Numba is installed."""
    shape = tensors[0].shape
    for x in tensors:
        if not x.is_cpu or x.dtype != torch.float32 or x.shape != shape:
            return False
    return tensors[0].numel() > 0 and numba_installed()


def exact(multiplier: int, bound: int) -> bool:
    """Whether float64 holds the products of the multiplier with integers up to `bound`."""
    return bound * multiplier < EXACT_FLOAT64


def multiplied(
    a: Tensor, b: Tensor, scales: tuple[Tensor, Tensor, Tensor], multiplier: int, shift: int, ends: Range
) -> Tensor:
    """``clamp(round(a · b · multiplier / 2^shift))``; scales : of a, b and the result."""
    made: Tensor = _Product.apply(a, b, *scales, multiplier, shift, ends)  # type: ignore[no-untyped-call]
    return made


def added(
    a: Tensor, b: Tensor, scales: tuple[Tensor, Tensor, Tensor], factors: tuple[int, int], shift: int, ends: Range
) -> Tensor:
    """``clamp(round((a · factors[0] + b · factors[1]) / 2^shift))``; a negative factor 1 subtracts."""
    made: Tensor = _Sum.apply(a, b, *scales, factors, shift, ends)  # type: ignore[no-untyped-call]
    return made


def looked_up(
    x: Tensor,
    scales: tuple[Tensor, Tensor],
    first: int,
    table: NDArray[np.float32],
    slope: NDArray[np.float32],
    real: NDArray[np.float32],
) -> Tensor:
    """``table[x − first]``; scales : of x and the result.

    slope, real : of each entry the function's slope and its value, 0 where the gradient is
    """
    made: Tensor = _Table.apply(x, *scales, first, table, slope, real)  # type: ignore[no-untyped-call]
    return made


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


def _results(x: Tensor, kind: type[Any] = np.float32) -> tuple[NDArray[np.float32], NDArray[Any]]:
    # NumPy makes small arrays in a fraction of torch's time.
    return np.empty(x.shape, np.float32), np.empty(x.shape, kind)


class _Product(Function):
    @staticmethod
    def forward(
        ctx: Any,
        a: Tensor,
        b: Tensor,
        a_scale: Tensor,
        b_scale: Tensor,
        y_scale: Tensor,
        multiplier: int,
        shift: int,
        ends: Range,
    ) -> Tensor:
        from . import element_kernels

        values, state = _results(a, np.uint8)
        a, b = a.contiguous(), b.contiguous()
        thresholds = float_thresholds(np.array(shift), ends.arithmetic)
        factors = multiplier * 2.0**-shift, thresholds
        made = values.reshape(-1), state.reshape(-1)
        element_kernels.product(_flat(a), _flat(b), *factors, *made, float(ends.low), float(ends.high))
        ctx.save_for_backward(a, b)
        ctx.state = state
        ctx.scales = a_scale.item(), b_scale.item(), y_scale.item()
        return torch.from_numpy(values)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        from . import element_kernels

        (a, b), state = ctx.saved_tensors, ctx.state
        a_scale, b_scale, y_scale = ctx.scales
        ratio = np.float32(a_scale * b_scale / y_scale)
        to_a, to_b = _results(a)
        operands = _flat(gradient), state.reshape(-1), _flat(a), _flat(b)
        total = element_kernels.product_gradients(*operands, ratio, to_a.reshape(-1), to_b.reshape(-1))
        to_scales = total * b_scale / y_scale, total * a_scale / y_scale, -total * a_scale * b_scale / y_scale**2
        return torch.from_numpy(to_a), torch.from_numpy(to_b), *_scalars(*to_scales), None, None, None


class _Sum(Function):
    @staticmethod
    def forward(
        ctx: Any,
        a: Tensor,
        b: Tensor,
        a_scale: Tensor,
        b_scale: Tensor,
        y_scale: Tensor,
        factors: tuple[int, int],
        shift: int,
        ends: Range,
    ) -> Tensor:
        from . import element_kernels

        values, state = _results(a, np.uint8)
        a, b = a.contiguous(), b.contiguous()
        a_ratio, b_ratio = (factor * 2.0**-shift for factor in factors)
        thresholds = float_thresholds(np.array(shift), ends.arithmetic)
        made = values.reshape(-1), state.reshape(-1)
        element_kernels.weighted_sum(
            _flat(a), _flat(b), a_ratio, b_ratio, thresholds, *made, float(ends.low), float(ends.high)
        )
        ctx.save_for_backward(a, b)
        ctx.state = state
        ctx.scales = a_scale.item(), b_scale.item(), y_scale.item()
        ctx.sign = -1.0 if factors[1] < 0 else 1.0
        return torch.from_numpy(values)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        from . import element_kernels

        (a, b), state = ctx.saved_tensors, ctx.state
        (a_scale, b_scale, y_scale), sign = ctx.scales, ctx.sign
        to_a, to_b = _results(a)
        operands = _flat(gradient), state.reshape(-1), _flat(a), _flat(b)
        ratios = np.float32(a_scale / y_scale), np.float32(sign * b_scale / y_scale)
        by_a, by_b = element_kernels.sum_gradients(*operands, *ratios, to_a.reshape(-1), to_b.reshape(-1))
        by_b *= sign
        to_scales = by_a / y_scale, by_b / y_scale, -(by_a * a_scale + by_b * b_scale) / y_scale**2
        return torch.from_numpy(to_a), torch.from_numpy(to_b), *_scalars(*to_scales), None, None, None


class _Table(Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        x_scale: Tensor,
        y_scale: Tensor,
        first: int,
        table: NDArray[np.float32],
        slope: NDArray[np.float32],
        real: NDArray[np.float32],
    ) -> Tensor:
        from . import element_kernels

        x, values = x.contiguous(), np.empty(x.shape, np.float32)
        element_kernels.look_up(_flat(x), np.float32(-first), table, values.reshape(-1))
        ctx.save_for_backward(x)
        ctx.scales = x_scale.item(), y_scale.item()
        ctx.first, ctx.slope, ctx.real = first, slope, real
        return torch.from_numpy(values)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        from . import element_kernels

        (x,), (x_scale, y_scale) = ctx.saved_tensors, ctx.scales
        to_x = np.empty(x.shape, np.float32)
        slope = ctx.slope * np.float32(x_scale / y_scale)
        by_x, by_real = element_kernels.table_gradients(
            _flat(gradient), _flat(x), np.float32(-ctx.first), slope, ctx.real, to_x.reshape(-1)
        )
        return torch.from_numpy(to_x), *_scalars(by_x / x_scale, -by_real / y_scale**2), None, None, None, None


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
        values, state = _results(acc, np.uint8)
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
