"""The error of one layer's float result under weights that change, and its gradient: what learned roundings lower.

A convolution's is taken on single windows, drawn from all that the batches hold: neighbours in a map say nearly the
same, and a product of a few thousand windows costs a part of a convolution of whole images with its gradient.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from ..integers.geometry import Geometry
from ..layers.transposed import TransposedConvolution
from ..layers.weighted import Weighted
from ..scales.quantizers import NO_CLAMP

POSITIONS = 64  # of each sample that a step sees at most
POOL = 1 << 22  # values of all windows that are drawn at the start, 16 MiB; a step takes a part of them


class Reconstruction(Protocol):
    """The mean squared error of a layer's clamped result."""

    def gradient(self, weight: Tensor, generator: torch.Generator) -> Tensor:
        """The gradient of the error by the float weights, like them, on samples that `generator` draws."""


def reconstruction(
    layer: Weighted,
    weight: Tensor,
    bias: Tensor,
    inputs: Tensor,
    targets: Tensor,
    samples: int,
    generator: torch.Generator,
) -> Reconstruction:
    """That of `layer` with weights like `weight` and the float `bias`.

    inputs : with the samples first; targets : what the layer should make of them, as `Weighted.plain` gives it, clamped
    samples : of each step; generator : draws the windows
    """
    if isinstance(layer, TransposedConvolution):
        return _Samples(layer, bias, inputs, targets, samples)
    return _Windows(layer, weight, bias, inputs, targets, samples, generator)


class _Samples:
    """Whole samples, and autograd."""

    def __init__(self, layer: Weighted, bias: Tensor, inputs: Tensor, targets: Tensor, samples: int) -> None:
        self.layer, self.bias, self.inputs, self.targets, self.samples = layer, bias, inputs, targets, samples

    @torch.enable_grad()
    def gradient(self, weight: Tensor, generator: torch.Generator) -> Tensor:
        chosen = torch.randint(len(self.inputs), (self.samples,), generator=generator).to(weight.device)
        leaf = weight.detach().requires_grad_()
        y = self.layer.clamped(self.layer.plain(self.inputs[chosen], leaf, self.bias))
        (gradient,) = torch.autograd.grad((y - self.targets[chosen]).square().mean(), leaf)
        return gradient


class _Windows:
    """Rows of a matrix product, or windows of a convolution; each step takes neighbours in a shuffled order.

    rows : (groups, windows, length); targets : (groups, windows, outputs of a group); bias : (groups, 1, outputs)
    """

    def __init__(
        self,
        layer: Weighted,
        weight: Tensor,
        bias: Tensor,
        inputs: Tensor,
        targets: Tensor,
        samples: int,
        generator: torch.Generator,
    ) -> None:
        self.low, self.high = layer.clamp
        groups = 1 if layer.geometry is None else layer.geometry.groups
        windows = layer.rows(inputs)
        if layer.geometry is not None:
            windows, targets = _windows(windows, layer.kernel(weight), layer.geometry), targets.movedim(1, -1)
        places, outputs = targets.shape[:-1], targets.shape[-1]
        count, values = math.prod(places), math.prod(windows.shape[len(places) :])
        chosen = torch.randperm(count, generator=generator)[: max(POOL // values, 1)].to(inputs.device)
        index = torch.unravel_index(chosen, places)
        self.rows = windows[index].view(len(chosen), groups, -1).transpose(0, 1).contiguous()
        self.targets = targets[index].view(len(chosen), groups, outputs // groups).transpose(0, 1).contiguous()
        self.bias = bias.view(groups, 1, -1)
        self.size = min(samples * min(count // len(inputs), POSITIONS), len(chosen))

    def gradient(self, weight: Tensor, generator: torch.Generator) -> Tensor:
        first = int(torch.randint(self.rows.shape[1] - self.size + 1, (), generator=generator))
        rows, targets = (part[:, first : first + self.size] for part in (self.rows, self.targets))
        weights = weight.view(len(rows), -1, rows.shape[2])
        # A product of matrices with one column takes far longer than the sum.
        single = weights.shape[1] == 1
        sums = (rows * weights).sum(2, keepdim=True) if single else torch.bmm(rows, weights.transpose(1, 2))
        y = sums.add_(self.bias)
        clamped = y.clamp(self.low, self.high)
        error = (clamped - targets).mul_(2 / targets.numel())
        if (self.low, self.high) != NO_CLAMP:
            error.mul_(clamped == y)
        found = (rows * error).sum(1) if single else torch.bmm(error.transpose(1, 2), rows)
        return found.view_as(weight)


def _windows(x: Tensor, kernel: Tensor, geometry: Geometry) -> Tensor:
    """The windows of maps (batch, channels, height, width): a view (batch, rows, columns, channels, *kernel).

    kernel : the weights, (outputs, inputs of a group, height, width)
    """
    top, left, bottom, right = geometry.padding
    x = F.pad(x, (left, right, top, bottom)) if any(geometry.padding) else x.contiguous()
    size, along = kernel.shape[2:], x.stride()
    reach = [dilation * (length - 1) + 1 for dilation, length in zip(geometry.dilations, size, strict=True)]
    places = [
        (whole - span) // stride + 1 for whole, span, stride in zip(x.shape[2:], reach, geometry.strides, strict=True)
    ]
    steps = [stride * length for stride, length in zip(geometry.strides, along[2:], strict=True)]
    taps = [dilation * length for dilation, length in zip(geometry.dilations, along[2:], strict=True)]
    return x.as_strided((len(x), *places, x.shape[1], *size), (along[0], *steps, along[1], *taps))
