"""The contract's sequential sums on torch tensors (sections 2 and 9).

Plain float products where a bound proves them exact and equal, the emulator's compiled walk elsewhere.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import emulator
from emulator import Arithmetic

from .exact_product import EXACT_FLOAT32, exact_product
from .geometry import Geometry
from .quantize import subset_bounds
from .saturating_walk import saturated_walk, walks
from .straight_through import saturated, wrapped
from .tensor import QuantizedTensor, as_int, stored_order


def accumulate(
    x: QuantizedTensor,
    weight: Tensor,
    bias: Tensor,
    geometry: Geometry | None,
    arithmetic: Arithmetic,
    zero_points: Tensor | None = None,
    bounds: tuple[Tensor, Tensor] | None = None,
) -> tuple[Tensor, Tensor, int]:
    """The sums of a convolution, or of a matrix product where `geometry` is None.

    weight : integers w − zw as float32, (outputs, inputs/groups, height, width) or (outputs, length)
    bias : integers as float64 of min(P, 32) bits, (outputs,)
    zero_points : zw, int64 (outputs,), None for all 0
    bounds : `subset_bounds` of the weights and the extremes of x, if they are known

    Returns (sums, the sums without overflow, a bound of the former's magnitude). Sums are exact integers in float32
    (float64 where float32 may not hold them). The gradient is that of the plain product; for saturating sums it is
    directional (see `saturated`).
    """
    biases = bias.detach()
    parts = subset_bounds(weight, *x.extremes) if bounds is None else bounds
    above, below, start = (part.cpu().numpy() for part in (*parts, biases))
    worst = float(np.maximum(above + np.maximum(start, 0), below - np.minimum(start, 0)).max())
    if math.isnan(worst):
        raise ValueError("weight and bias must not contain NaN")
    largest = int(worst)
    least, most = arithmetic.accumulator_range
    # The exact extremes of all partial sums, in any order (contract, section 6).
    past = (start + above > most) | (start - below < least)
    if not past.any():
        sums = exact_product(x.centered, weight, bias, geometry, x.extremes, largest)
        return sums, sums, largest
    risky = torch.from_numpy(past).to(weight.device)
    bound = min(largest, -least)
    ideal = exact_product(x.centered, weight, bias, geometry, x.extremes, largest)
    if arithmetic.overflow == "wrap":
        # Sums modulo 2^P do not depend on where they wrap.
        sums = torch.remainder(ideal.detach().double() - least, most - least + 1) + least
        return wrapped(ideal, _narrow(sums, bound)), ideal, bound
    if walks(x, weight, geometry, arithmetic):
        return saturated_walk(x, weight, biases, geometry, arithmetic, risky, ideal), ideal, bound
    if bool(risky.all()):
        walked = _narrow(walk(x, weight, biases, geometry, arithmetic, zero_points)[0].to(ideal.device), bound)
    else:
        # Where no partial sum can overflow, the sum is within `bound` and its type.
        walked = ideal.detach().to(_type(bound), copy=True)
        chosen, part, inner = _of_groups(risky, x, geometry)
        zeros = None if zero_points is None else zero_points[chosen]
        walked[:, chosen] = walk(part, weight[chosen], biases[chosen], inner, arithmetic, zeros)[0].to(walked)
    return saturated(ideal, walked), ideal, bound


def _of_groups(
    risky: Tensor, x: QuantizedTensor, geometry: Geometry | None
) -> tuple[Tensor, QuantizedTensor, Geometry | None]:
    """The output channels to walk, bool (outputs,), with the input and the geometry of a convolution of them alone.

    risky : bool (outputs,), at least one; of groups all channels of those that have a risky one
    """
    if geometry is None or geometry.groups == 1:
        return risky, x, geometry
    groups = risky.view(geometry.groups, -1).any(1)
    inputs = groups.repeat_interleave(x.centered.shape[1] // geometry.groups)
    part = replace(x, centered=x.centered.detach()[:, inputs])
    chosen = groups.repeat_interleave(len(risky) // geometry.groups)
    return chosen, part, replace(geometry, groups=int(groups.sum()))


def _type(bound: int) -> torch.dtype:
    return torch.float32 if bound <= EXACT_FLOAT32 else torch.float64


def _narrow(sums: Tensor, bound: int) -> Tensor:
    return sums.to(_type(bound))


def walk(
    x: QuantizedTensor,
    weight: Tensor,
    bias: Tensor,
    geometry: Geometry | None,
    arithmetic: Arithmetic,
    zero_points: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The sequential sums and their overflow flags by the emulator's kernels: int64 and bool on the CPU.

    Arguments as for `accumulate`; nothing has a gradient.
    """
    biases, weights = as_int(bias, np.int64), weight.detach()
    zeros = np.zeros(len(weight), np.int64) if zero_points is None else as_int(zero_points, np.int64)
    if zero_points is not None:
        weights = weights + zero_points.view(-1, *[1] * (weight.ndim - 1))
    weights = weights.to(torch.int8)
    if geometry is None:
        codes, rows = stored_order(x.codes, x.map_shape), stored_order(weights, x.map_shape)
        sums, flags = emulator.accumulate(codes, np.ascontiguousarray(rows.T), biases, arithmetic, x.zero_point, zeros)
        return torch.from_numpy(sums), torch.from_numpy(flags)
    sums, flags = emulator.convolve(
        _nhwc(x.codes),
        _nhwc(weights),
        biases,
        arithmetic,
        x_zero_point=x.zero_point,
        strides=geometry.strides,
        padding=geometry.padding,
        dilations=geometry.dilations,
        groups=geometry.groups,
        w_zero_point=zeros,
    )
    return torch.from_numpy(sums).permute(0, 3, 1, 2), torch.from_numpy(flags).permute(0, 3, 1, 2)


def _nhwc(codes: Tensor) -> NDArray[np.int8]:
    array: NDArray[np.int8] = codes.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    return array
