"""Steps of a `Chain` that make a linear layer: codes of its weights; product, bias and requantization.

Sums over elements are float64, whose order is the compiler's, and products of gradients float32.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emulator import Arithmetic

from ..element_steps import Floats, Gradients, Range
from ..exact_product import EXACT_FLOAT32
from ..requantize import exact
from ..rounding import SIMPLE
from ..saturating_walk import walked_sums, walks
from ..tensor import QuantizedTensor
from .byte_product import Bytes, byte_sums, bytes_of, pays

NO_EXCESS = np.empty((0, 0), np.int8)


@cache
def _kernels() -> tuple[ModuleType, ModuleType]:
    """`kernels` and `matrix_kernels`, which import Numba; an import statement in every call would take a while."""
    from .. import kernels
    from . import matrix_kernels

    return kernels, matrix_kernels


@dataclass(eq=False)
class WeightCodes:
    """``clamp(round_half_even(w / scale), −limit, limit)`` of weights (channels, …), a scale (channels,) for each.

    wanted : whether the weights need a gradient
    totals, magnitudes : what `forward` has found, the sums of each channel's codes and of their magnitudes, float64
    """

    limit: int
    wanted: bool
    totals: NDArray[np.float64] = field(init=False)
    magnitudes: NDArray[np.float64] = field(init=False)
    saved: tuple[NDArray[Any], ...] = field(default=(), init=False)
    as_bytes: Bytes | None = field(default=None, init=False)

    def forward(self, weight: Floats, scale: Floats) -> Floats:
        rows = weight.reshape(len(weight), -1)
        codes, inside = np.empty(rows.shape, np.float32), np.empty(rows.shape, np.bool_)
        self.totals, self.magnitudes = np.empty((2, len(rows)))
        _kernels()[1].weight_codes(rows, scale, np.float32(self.limit), codes, inside, self.totals, self.magnitudes)
        self.saved, self.as_bytes = (rows, scale, inside), None
        return codes.reshape(weight.shape)

    def backward(self, gradient: Floats) -> Gradients:
        """The gradients of the weights, where they are wanted, and of the scales."""
        rows, scale, inside = self.saved
        arrays, to_scale = (gradient.reshape(rows.shape), inside, rows, scale), np.empty(len(rows))
        if self.wanted:
            to_weight = np.empty(rows.shape, np.float32)
            _kernels()[0].quantize_gradients(*arrays, to_weight, to_scale)
            return (to_weight.reshape(gradient.shape), to_scale.astype(np.float32)), ()
        _kernels()[0].scale_gradients(*arrays, to_scale)
        return (None, to_scale.astype(np.float32)), ()

    def bytes_of(self, codes: Floats) -> Bytes | None:
        """What `forward` has returned as int8, made once."""
        if self.as_bytes is None:
            self.as_bytes = bytes_of(codes, 0)
        return self.as_bytes


@dataclass(eq=False)
class MatrixProduct:
    """``clamp(round((bias + Σ x · w) · multiplier / 2^shift))`` with factors for each output channel.

    Made by `matrix_product`. Operands: x (…, length) and the integers w, (channels, length); the float bias and the
    weights' scales, both (channels,). Scales: of x and of the result.

    correction : (channels,), what is added to the float bias
    biases : codes of the bias, (channels,) float32; ratio : multiplier / 2^shift, (channels,) float64
    coded : the step that has made w; zero_point : of x
    overflowing : x as rows whose sums may overflow and must be walked, and in which channels; None where none may
    wanted : whether x, and whether w, needs a gradient
    ideal, sums : what `forward` has found, without overflow and as they are, (rows, channels) exact integers
    """

    scales: tuple[float, float]
    correction: Floats
    biases: Floats
    ratio: NDArray[np.float64]
    ends: Range
    coded: WeightCodes
    zero_point: int
    overflowing: tuple[QuantizedTensor, Tensor] | None
    wanted: tuple[bool, bool]
    ideal: Tensor = field(init=False)
    sums: Floats = field(init=False)
    saved: tuple[NDArray[Any], ...] = field(default=(), init=False)

    def forward(self, x: Floats, weight: Floats, bias: Floats, w_scale: Floats) -> Floats:
        self.ideal = self._ideal(x.reshape(-1, x.shape[-1]), weight)
        weights, start = torch.from_numpy(weight), torch.from_numpy(self.biases)
        self.sums, excess = self.ideal.numpy(), NO_EXCESS
        if self.overflowing is not None:
            rows, risky = self.overflowing
            arithmetic = self.ends.arithmetic
            walked, sides = walked_sums(rows, weights, start, None, arithmetic, risky, self.ideal)
            self.sums, excess = walked.numpy(), sides.numpy()
        values, state = np.empty(self.sums.shape, np.float32), np.empty(self.sums.shape, np.uint8)
        thresholds = SIMPLE[self.ends.arithmetic.rounding]
        _kernels()[1].columns(
            self.sums, self.ratio, thresholds, values, state, float(self.ends.low), float(self.ends.high)
        )
        self.saved = x, weight, bias, w_scale, state, excess
        return values.reshape(*x.shape[:-1], -1)

    def _ideal(self, rows: Floats, weight: Floats) -> Tensor:
        """The sums without overflow; of bytes where that is faster, the share of their zero point then taken off."""
        if pays(len(rows), *weight.shape[::-1]):
            codes, weights = bytes_of(rows, self.zero_point), self.coded.bytes_of(weight)
            if codes is not None and weights is not None:
                added = self.biases - self.zero_point * self.coded.totals
                return torch.from_numpy(byte_sums(codes, weights, added))
        return torch.addmm(*map(torch.from_numpy, (self.biases, rows, weight.T)))

    def backward(self, gradient: Floats) -> Gradients:
        """The gradients of x and w, where they are wanted, of the bias and the weights' scales, and of the scales."""
        (x, weight, bias, w_scale, state, excess), (x_scale, y_scale) = self.saved, self.scales
        to_sums, unit = np.empty(self.sums.shape, np.float32), w_scale * np.float32(x_scale / y_scale)
        by_ratio, by_bias = np.zeros((2, len(bias)))
        _kernels()[1].sum_gradients(
            gradient.reshape(self.sums.shape), state, self.sums, unit, excess, to_sums, by_ratio, by_bias
        )
        to_bias, to_w_scale = np.empty((2, len(bias)), np.float32)
        low, high = map(float, self.ends.arithmetic.bias_range)
        by_scales = _kernels()[1].factor_gradients(
            by_ratio, by_bias, bias, self.correction, w_scale, x_scale, y_scale, low, high, to_bias, to_w_scale
        )
        made, given = torch.from_numpy(to_sums), torch.from_numpy(x.reshape(-1, x.shape[-1]))
        to_x = torch.mm(made, torch.from_numpy(weight)).numpy().reshape(x.shape) if self.wanted[0] else None
        to_weight = torch.mm(made.T, given).numpy() if self.wanted[1] else None
        return (to_x, to_weight, to_bias, to_w_scale), by_scales


def matrix_product(
    x: QuantizedTensor,
    weight: tuple[Tensor, WeightCodes],
    bias: Tensor,
    w_scale: Tensor,
    correction: Tensor,
    y_scale: float,
    ends: Range,
    wanted: tuple[bool, bool],
) -> MatrixProduct | None:
    """The step of these operands, or None where it would not be exact in the types that it computes with.

    x : (batch, length) or (batch, rows, length); weight : what stands for the codes, and the step that has made them
    other arguments : as for `MatrixProduct`
    """
    (codes, made), arithmetic = weight, ends.arithmetic
    biases, ratio = np.empty(made.totals.shape, np.float32), np.empty(made.totals.shape)
    values, added, steps = [part.detach().contiguous().numpy() for part in (bias, correction, w_scale)]
    (least, most), (low, high) = x.extremes, arithmetic.bias_range
    bounds, scales = (made.totals, made.magnitudes, float(least), float(most)), (x.scale.item(), y_scale)
    worst, multiplier = _kernels()[1].factors(
        *(values, added, steps), *bounds, *scales, arithmetic.multiplier_bits, float(low), float(high), biases, ratio
    )
    if multiplier < 0 or worst > EXACT_FLOAT32 or not exact(int(multiplier), int(worst)):
        return None
    overflowing = None
    if worst > arithmetic.accumulator_range[1]:
        risky = _risky(biases, made, x.extremes, arithmetic)
        if risky.any():
            rows = replace(x, centered=x.centered.detach().flatten(0, -2))
            if not walks(rows, codes, None, arithmetic):
                return None
            overflowing = rows, torch.from_numpy(risky)
    return MatrixProduct(scales, added, biases, ratio, ends, made, x.zero_point, overflowing, wanted)


def _risky(biases: Floats, weight: WeightCodes, extremes: tuple[int, int], arithmetic: Arithmetic) -> NDArray[np.bool_]:
    """Of which channels a partial sum may overflow, whatever the order (contract, section 6)."""
    (low, high), (least, most) = extremes, arithmetic.accumulator_range
    positive, negative = (weight.magnitudes + weight.totals) / 2, (weight.magnitudes - weight.totals) / 2
    above, below = high * positive - low * negative, high * negative - low * positive
    found: NDArray[np.bool_] = (biases + above > most) | (biases - below < least)
    return found
