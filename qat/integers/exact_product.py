"""Products whose sums are exact integers: float32 where a bound proves it, in pieces of K where one is too long.

All bounds are on the sums of any subset of a sum's terms: whatever the order in which a library adds, and whatever it
keeps in partial sums, every intermediate is one of those.
"""

from __future__ import annotations

import platform
from contextlib import nullcontext
from operator import attrgetter
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from .geometry import Geometry
from .quantize import subset_bounds

EXACT_FLOAT32 = 1 << 24
FLOAT32_PRECISIONS = attrgetter("fp32_precision", "mkldnn.conv.fp32_precision", "mkldnn.matmul.fp32_precision")


def exact_product(
    x: Tensor, weight: Tensor, bias: Tensor, geometry: Geometry | None, extremes: tuple[int, int], largest: int
) -> Tensor:
    """``bias + Σ x · w`` exactly, of a convolution or, where `geometry` is None, a matrix product.

    x, weight : integers as float32; bias : integers as float64; extremes : smallest and largest x, and 0
    largest : no subset of a sum's terms and its bias is larger in magnitude

    Returns float32 where it holds all sums, float64 otherwise. Gradients are float32, those of the plain product.
    """
    native = torch.backends.cudnn.flags(enabled=False) if x.is_cuda else nullcontext()
    kind = x.device.type
    plain = torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else nullcontext()
    with plain, native:
        if not float32_is_exact(x):
            return _product(x.double(), weight.double(), bias, geometry)
        if largest <= EXACT_FLOAT32:
            return _product(x, weight, bias.float(), geometry)
        length = _piece_length(weight, *extremes) if geometry is None or geometry.groups == 1 else 0
        result: Tensor = _LongProduct.apply(x, weight, bias, geometry, length)  # type: ignore[no-untyped-call]
        return result


def _product(x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry | None) -> Tensor:
    return F.linear(x, weight, bias) if geometry is None else geometry.convolve(x, weight, bias)


def _piece_length(weight: Tensor, low: int, high: int) -> int:
    """Inputs (of each output) whose float32 product is exact, wherever a piece of so many begins at a multiple of it.

    0 if a single one is too much.
    """
    length = weight.shape[1]
    while length and any(
        bound.max() > EXACT_FLOAT32
        for part in torch.split(weight, length, 1)
        for bound in subset_bounds(part, low, high)
    ):
        length //= 2
    return length


class _LongProduct(Function):
    """A product in float32 pieces of `length` inputs, added in float64; in float64 as a whole where that is 0."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, geometry: Geometry | None, length: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.geometry = geometry
        if not length:
            return _product(x.double(), weight.double(), bias, geometry)
        parts = zip(torch.split(x, length, 1), torch.split(weight, length, 1), strict=True)
        sums = bias.view(-1, *[1] * (x.ndim - 2))
        for values, weights in parts:
            sums = sums + _product(values, weights, None, geometry)
        return sums

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        gradient = gradient.float()
        if ctx.geometry is None:
            return gradient @ weight, gradient.T @ x, gradient.sum(0), None, None
        return *ctx.geometry.gradients(x, weight, gradient, ctx.needs_input_grad[:3]), None, None


def float32_is_exact(x: Tensor) -> bool:
    """Whether torch's float32 products are float32 in every step here: no TF32, no bfloat16, no Winograd.

    Without oneDNN a convolution may go to NNPACK, which transforms; ARM's kernels and other devices' do so, too.
    """
    if x.device.type != "cpu" or platform.machine().lower() not in ("x86_64", "amd64"):
        return False
    onednn = torch.backends.mkldnn
    if not (onednn.is_available() and onednn.enabled):  # type: ignore[no-untyped-call]
        return False
    return all(precision in ("none", "ieee") for precision in FLOAT32_PRECISIONS(torch.backends))
