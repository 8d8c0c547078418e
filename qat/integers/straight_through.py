"""Gradients: the forward value is the contract's integer, the backward pass sees a real-valued surrogate."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function


class _StraightThrough(Function):
    @staticmethod
    def forward(ctx: Any, surrogate: Tensor, value: Tensor, inside: Tensor | None) -> Tensor:
        ctx.inside = inside
        ctx.dtype = surrogate.dtype
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        gradient = gradient.to(ctx.dtype)
        return (gradient if ctx.inside is None else gradient * ctx.inside), None, None


def straight_through(surrogate: Tensor, value: Tensor, inside: Tensor | None = None) -> Tensor:
    """`value` in the forward pass; the gradient goes to `surrogate`, and only where `inside` holds.

    surrogate, value : same shape; inside : bool of that shape, None for everywhere
    """
    result: Tensor = _StraightThrough.apply(surrogate, value, inside)  # type: ignore[no-untyped-call]
    return result


def _excess(ideal: Tensor, actual: Tensor) -> Tensor:
    """int8: 1 where the sum without overflow is the larger one, −1 where it is the smaller one, 0 elsewhere."""
    return (ideal > actual).to(torch.int8) - (ideal < actual).to(torch.int8)


class _Overflowing(Function):
    """Forward `actual`; backward knows where and on which side it differs from `ideal`."""

    @staticmethod
    def forward(ctx: Any, ideal: Tensor, actual: Tensor) -> Tensor:
        ctx.save_for_backward(_excess(ideal, actual))
        ctx.dtype = ideal.dtype
        return actual.view_as(actual)


class _Saturated(_Overflowing):
    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (excess,) = ctx.saved_tensors
        # A descent step moves the sum against its gradient: above the range (+1) a negative one pushes it out.
        return gradient.masked_fill(gradient * excess < 0, 0).to(ctx.dtype), None


def saturated(ideal: Tensor, actual: Tensor) -> Tensor:
    """`actual` in the forward pass, the directional gradient of a saturating sum in the backward pass.

    ideal : the sums without saturation; actual : the sums with it, same shape

    Where saturation changed a sum, the part of the gradient that would push the sum further out is dropped and the part
    that pulls it back is kept. Elsewhere the gradient passes unchanged.
    """
    result: Tensor = _Saturated.apply(ideal, actual)  # type: ignore[no-untyped-call]
    return result


class _Wrapped(_Overflowing):
    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (excess,) = ctx.saved_tensors
        return torch.where(excess == 0, gradient, gradient.abs() * excess).to(ctx.dtype), None


def wrapped(ideal: Tensor, actual: Tensor) -> Tensor:
    """`actual` in the forward pass; in the backward pass a gradient that pulls wrapped sums back into range.

    ideal : the sums without overflow; actual : the sums modulo 2^P, same shape

    A wrapped sum lies at the far end of the range, so its gradient's sign says nothing about the way back: only the
    magnitude is kept, with the sign that pulls back. Elsewhere the gradient passes unchanged.
    """
    result: Tensor = _Wrapped.apply(ideal, actual)  # type: ignore[no-untyped-call]
    return result
