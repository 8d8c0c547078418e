"""The contract's sequential sums on torch tensors (section 2).

Plain float products where a bound proves them exact and equal, the emulator's compiled walk elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

import emulator
from emulator import Arithmetic

from .straight_through import saturated, wrapped
from .tensor import QuantizedTensor, as_int, stored_order

EXACT_FLOAT32 = 1 << 24
FLOAT32_PRECISIONS = attrgetter("fp32_precision", "mkldnn.conv.fp32_precision", "mkldnn.matmul.fp32_precision")


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """Stride, padding (top, left, bottom, right), dilation and groups of a convolution."""

    strides: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilations: tuple[int, int] = (1, 1)
    groups: int = 1

    def attributes(self, kernel: Sequence[int]) -> dict[str, Any]:
        """The attributes of an ONNX Conv."""
        return {
            "kernel_shape": list(kernel),
            "strides": self.strides,
            "pads": self.padding,
            "dilations": self.dilations,
            "group": self.groups,
        }

    def convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """torch's float convolution with this geometry."""
        top, left, bottom, right = self.padding
        if (top, left) == (bottom, right):
            return F.conv2d(x, weight, bias, self.strides, (top, left), self.dilations, self.groups)
        padded = F.pad(x, (left, right, top, bottom))
        return F.conv2d(padded, weight, bias, self.strides, 0, self.dilations, self.groups)


def accumulate(
    x: QuantizedTensor, weight: Tensor, bias: Tensor, geometry: Geometry | None, arithmetic: Arithmetic
) -> tuple[Tensor, int]:
    """The sums of a convolution, or of a matrix product where `geometry` is None, and a bound of their magnitude.

    weight : integers as float32, (outputs, inputs/groups, height, width) or (outputs, length)
    bias : integers as float64 of min(P, 32) bits, (outputs,)

    Returns exact integers in float32 (float64 where float32 may not hold them). The gradient is that of the plain
    product; for saturating sums it is directional (see `saturated`).
    """
    weights = weight.detach().double().flatten(1)
    biases = bias.detach()
    low, high = x.extremes
    positive, negative = weights.clamp(min=0).sum(1), -weights.clamp(max=0).sum(1)
    above, below = high * positive - low * negative, -low * positive + high * negative
    least, most = arithmetic.accumulator_range
    # The exact extremes of all partial sums, in any order (contract, section 6).
    risky = (biases + above > most) | (biases - below < least)
    worst = float((max(high, -low) * (positive + negative) + biases.abs()).max())
    if math.isnan(worst):
        raise ValueError("weight and bias must not contain NaN")
    largest = int(worst)
    number = torch.float32 if largest <= EXACT_FLOAT32 and _float32_is_exact(x.centered) else torch.float64
    if not bool(risky.any()):
        return _plain(x.centered, weight, bias, geometry, number), largest
    bound = min(largest, -least)
    if arithmetic.overflow == "wrap":
        # Sums modulo 2^P do not depend on where they wrap.
        ideal = _plain(x.centered, weight, bias, geometry, number)
        sums = torch.remainder(ideal.detach().double() - least, most - least + 1) + least
        return wrapped(ideal, _narrow(sums, bound)), bound
    if not torch.is_grad_enabled() and bool(risky.all()):
        return _narrow(walk(x, weight, biases, geometry, arithmetic)[0].to(weight.device), bound), bound
    ideal = _plain(x.centered, weight, bias, geometry, number)
    if bool(risky.all()) or (geometry is not None and geometry.groups > 1):
        walked = walk(x, weight, biases, geometry, arithmetic)[0].to(ideal.device)
    else:
        walked = ideal.detach().double()
        walked[:, risky] = walk(x, weight[risky], biases[risky], geometry, arithmetic)[0].to(walked)
    return saturated(ideal, _narrow(walked, bound)), bound


def _narrow(sums: Tensor, bound: int) -> Tensor:
    return sums.to(torch.float32 if bound <= EXACT_FLOAT32 else torch.float64)


def _plain(x: Tensor, weight: Tensor, bias: Tensor, geometry: Geometry | None, number: torch.dtype) -> Tensor:
    """The sums without overflow, every intermediate an exact integer of `number`."""
    with torch.autocast(x.device.type, enabled=False), torch.backends.cudnn.flags(enabled=False):
        x, weight, bias = x.to(number), weight.to(number), bias.to(number)
        if geometry is None:
            return F.linear(x, weight, bias)
        return geometry.convolve(x, weight, bias)


def _float32_is_exact(x: Tensor) -> bool:
    """Whether torch's float32 products are float32 in every step here: no TF32, no bfloat16, no Winograd.

    Without oneDNN a convolution may go to NNPACK, which transforms; other devices have transforms of their own.
    """
    precisions = FLOAT32_PRECISIONS(torch.backends)
    enabled = bool(torch.backends.mkldnn.enabled)
    return x.device.type == "cpu" and enabled and all(precision in ("none", "ieee") for precision in precisions)


def walk(
    x: QuantizedTensor, weight: Tensor, bias: Tensor, geometry: Geometry | None, arithmetic: Arithmetic
) -> tuple[Tensor, Tensor]:
    """The sequential sums and their overflow flags by the emulator's kernels: int64 and bool on the CPU.

    Arguments as for `accumulate`; nothing has a gradient.
    """
    biases = as_int(bias, np.int64)
    if geometry is None:
        codes, rows = stored_order(x.codes, x.map_shape), stored_order(weight.detach().to(torch.int8), x.map_shape)
        sums, flags = emulator.accumulate(codes, np.ascontiguousarray(rows.T), biases, arithmetic, x.zero_point)
        return torch.from_numpy(sums), torch.from_numpy(flags)
    sums, flags = emulator.convolve(
        _nhwc(x.codes),
        _nhwc(weight.detach().to(torch.int8)),
        biases,
        arithmetic,
        x_zero_point=x.zero_point,
        strides=geometry.strides,
        padding=geometry.padding,
        dilations=geometry.dilations,
        groups=geometry.groups,
    )
    return torch.from_numpy(sums).permute(0, 3, 1, 2), torch.from_numpy(flags).permute(0, 3, 1, 2)


def _nhwc(codes: Tensor) -> NDArray[np.int8]:
    array: NDArray[np.int8] = codes.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    return array
