"""Saturating sums of at most 16 bits for training: compiled passes from torch's layout to torch's layout.

The emulator's walk also finds flags and carries, and gives int64 in its own layout; a training step needs the sums, and
on which side of them those without overflow lie.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from emulator import Arithmetic
from emulator.operators.products.walk import numba_installed

from .geometry import Geometry
from .rows import rows, run
from .tensor import QuantizedTensor

LARGEST_PRODUCT = (1 << 15) - 1
VECTOR = 32  # lanes of a depthwise convolution are filled up to a multiple of it


def walks(x: QuantizedTensor, weight: Tensor, geometry: Geometry | None, arithmetic: Arithmetic) -> bool:
    """Whether `saturated_walk` can walk these operands, which are those of `accumulate`."""
    return (
        arithmetic.overflow == "saturate"
        and arithmetic.accumulator_bits <= 16
        and x.centered.device.type == "cpu"
        and x.centered.numel() > 0
        and (geometry is None or geometry.groups in (1, x.centered.shape[1]))
        and max(map(abs, x.extremes)) * largest(weight) <= LARGEST_PRODUCT
        and numba_installed()
    )


def largest(weight: Tensor) -> float:
    """The largest magnitude of a weight that is not empty."""
    least, most = torch.aminmax(weight.detach())
    return max(-least.item(), most.item())


def saturated_walk(
    x: QuantizedTensor,
    weight: Tensor,
    bias: Tensor,
    geometry: Geometry | None,
    arithmetic: Arithmetic,
    risky: Tensor,
    ideal: Tensor,
) -> Tensor:
    """The sums with saturation, float32, whose gradient goes to `ideal` as that of `saturated` does.

    risky : bool (outputs,), at least one; the others' sums cannot overflow, and are those of `ideal`
    ideal : the exact sums without overflow, as `exact_product` gives them; other arguments as for `accumulate`
    """
    result: Tensor = _Walked.apply(ideal, x, weight.detach(), bias.detach(), geometry, arithmetic, risky)  # type: ignore[no-untyped-call]
    return result


def walked_sums(
    x: QuantizedTensor,
    weight: Tensor,
    bias: Tensor,
    geometry: Geometry | None,
    arithmetic: Arithmetic,
    risky: Tensor,
    ideal: Tensor,
) -> tuple[Tensor, Tensor]:
    """`saturated_walk` without gradients, and the side on which the sums without overflow lie.

    Returns float32, and int8: 1 where `ideal` is larger, −1 where it is smaller, 0 elsewhere.
    """
    from . import walk_kernels

    chosen = torch.nonzero(risky).flatten()
    acc = _walk(x, weight[chosen], bias[chosen], geometry, arithmetic, chosen, len(risky))
    ideal = ideal.contiguous()
    every = len(chosen) == len(risky)
    walked = torch.empty_like(ideal, dtype=torch.float32) if every else ideal.to(torch.float32, copy=True)
    excess = (torch.empty_like if every else torch.zeros_like)(ideal, dtype=torch.int8)
    batch = len(ideal), len(risky), -1
    samples = acc[: ideal.numel() // len(risky)].reshape(len(ideal), -1, acc.shape[1])
    planes = (part.view(batch).numpy() for part in (ideal, walked, excess))
    run(walk_kernels.outcome, (samples, *planes), chosen.numpy())
    return walked, excess


class _Walked(Function):
    @staticmethod
    def forward(
        ctx: Any,
        ideal: Tensor,
        x: QuantizedTensor,
        weight: Tensor,
        bias: Tensor,
        geometry: Geometry | None,
        arithmetic: Arithmetic,
        risky: Tensor,
    ) -> Tensor:
        walked, excess = walked_sums(x, weight, bias, geometry, arithmetic, risky, ideal)
        ctx.save_for_backward(excess)
        ctx.dtype = ideal.dtype
        return walked

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        from . import walk_kernels

        (excess,) = ctx.saved_tensors
        kept = torch.empty_like(excess, dtype=torch.float32)
        run(walk_kernels.returning, (rows(gradient), rows(excess), rows(kept)))
        return kept.to(ctx.dtype), *[None] * 6


def _walk(
    x: QuantizedTensor,
    weight: Tensor,
    bias: Tensor,
    geometry: Geometry | None,
    arithmetic: Arithmetic,
    chosen: Tensor,
    outputs: int,
) -> NDArray[np.int16]:
    """The sums of the `chosen` ones of all output channels, whose weights and biases are given.

    Returns int16 (groups · ROWS, lanes), a row for each position and perhaps more, a lane for each channel and more.
    """
    from . import walk_kernels

    values = x.centered.detach()
    if geometry is None:
        # A product of matrices is a convolution of maps of one position.
        values, weight = (stored(part, x.map_shape)[:, :, None, None] for part in (values, weight))
        geometry = Geometry()
    spare = spare_bits(x, weight, arithmetic)
    weight, bias = weight * (1 << spare), bias * (1 << spare)
    depthwise = geometry.groups > 1
    if depthwise:
        values = values[:, chosen // (outputs // geometry.groups)]
        lanes = block = -(-len(chosen) // VECTOR) * VECTOR
        kernel, made = walk_kernels.depthwise, _taps(weight, lanes)
    else:
        block = next((size for size in walk_kernels.LANES if size >= len(chosen)), walk_kernels.LANES[-1])
        lanes = -(-len(chosen) // block) * block
        kernel, made = walk_kernels.DENSE[block], _blocks(weight, lanes, geometry)
    if not depthwise and values.shape[2:] == weight.shape[2:] == (1, 1) and not any(geometry.padding):
        flat, base, offsets = _vectors(values)
    else:
        flat, base, offsets = _windows(values, weight.shape[2:], geometry, lanes if depthwise else values.shape[1])
    acc = np.zeros((*base.shape, lanes), np.int16)
    acc[..., : len(chosen)] = bias.to(torch.int16).numpy()
    grouped = acc if depthwise else acc.reshape(*base.shape, -1, block)
    low, high = arithmetic.accumulator_range
    ends = np.int16(low << spare), np.int16(((high + 1) << spare) - 1)
    run(kernel, (grouped, base), flat, offsets, made if depthwise else made.reshape(*made.shape[:2], -1, block), *ends)
    acc >>= spare
    return acc.reshape(-1, lanes)


def spare_bits(x: QuantizedTensor, weight: Tensor, arithmetic: Arithmetic) -> int:
    """By how many bits weights and bias are shifted, so that the range of the sums is that of 16 bits, which is walked
    faster; 0 where the products do not leave so many.

    What saturates at the upper end has ones in the bits shifted in, and all additions are of multiples of 2^bits: the
    floor of the sums is always that of the unshifted ones.
    """
    spare = 16 - arithmetic.accumulator_bits
    product = max(map(abs, x.extremes)) * largest(weight)
    return spare if product * (1 << spare) <= LARGEST_PRODUCT else 0


def stored(x: Tensor, map_shape: tuple[int, ...] | None) -> Tensor:
    """(n, length) with a flattened (channels, …) map in its stored order, the channels last: the order of the sums."""
    return x if map_shape is None else x.reshape(-1, *map_shape).movedim(1, -1).flatten(1)


def _vectors(values: Tensor) -> tuple[NDArray[np.int16], NDArray[np.int64], NDArray[np.int64]]:
    """`_windows` of maps (batch, channels, 1, 1), each of them the only window of a kernel that reads all channels."""
    from . import walk_kernels

    flat = np.zeros(values.numel() + walk_kernels.UNROLL, np.int16)
    flat[: values.numel()] = values.numpy().reshape(-1)
    base = np.arange(-(-len(values) // walk_kernels.ROWS) * walk_kernels.ROWS) * values.shape[1]
    base[len(values) :] = 0
    return flat, base.reshape(-1, walk_kernels.ROWS), np.zeros(1, np.int64)


def _windows(
    values: Tensor, kernel: Sequence[int], geometry: Geometry, channels: int
) -> tuple[NDArray[np.int16], NDArray[np.int64], NDArray[np.int64]]:
    """`x`, `base` and `offsets` of `walk_kernels` for maps (batch, …, height, width), filled up to so many channels.

    A run is a row of the kernel where its taps are neighbours and all channels are read, and else a tap.
    """
    from . import walk_kernels

    (top, left, bottom, right), (batch, _, height, width) = geometry.padding, values.shape
    shape = batch, height + top + bottom, width + left + right, channels
    flat = torch.zeros(math.prod(shape) + walk_kernels.UNROLL, dtype=torch.int16)
    padded = flat[: -walk_kernels.UNROLL].view(shape)
    run(walk_kernels.channels_last, (padded.numpy(), values.contiguous().numpy()), top, left)
    reach = [dilation * (size - 1) + 1 for dilation, size in zip(geometry.dilations, kernel, strict=True)]
    places = [
        np.arange(0, length - span + 1, stride)
        for length, span, stride in zip(shape[1:3], reach, geometry.strides, strict=True)
    ]
    starts = (np.arange(batch)[:, None] * shape[1] + places[0]).reshape(-1, 1) * shape[2] + places[1]
    base = np.zeros(-(-starts.size // walk_kernels.ROWS) * walk_kernels.ROWS, np.int64)
    base[: starts.size] = starts.reshape(-1) * channels
    columns = 1 if whole_rows(geometry) else kernel[1]
    taps = np.arange(kernel[0])[:, None] * geometry.dilations[0] * shape[2] + np.arange(columns) * geometry.dilations[1]
    return flat.numpy(), base.reshape(-1, walk_kernels.ROWS), taps.reshape(-1) * channels


def whole_rows(geometry: Geometry) -> bool:
    """Whether the taps of a kernel's row are one run."""
    return geometry.groups == 1 and geometry.dilations[1] == 1


def _taps(weight: Tensor, lanes: int) -> NDArray[np.int16]:
    """(taps, lanes) of depthwise weights (outputs, 1, height, width), filled up with zeros."""
    made = torch.zeros(weight[0].numel(), lanes, dtype=torch.int16)
    made[:, : len(weight)] = weight.flatten(1).T
    return made.numpy()


def _blocks(weight: Tensor, lanes: int, geometry: Geometry) -> NDArray[np.int16]:
    """(runs, length, lanes) of weights (outputs, channels, height, width), filled up with zeros."""
    from . import walk_kernels

    turned = weight.permute(2, 3, 1, 0)
    turned = turned.flatten(1, 2) if whole_rows(geometry) else turned.flatten(0, 1)
    length = -(-turned.shape[1] // walk_kernels.UNROLL) * walk_kernels.UNROLL
    made = torch.zeros(len(turned), length, lanes, dtype=torch.int16)
    made[:, : turned.shape[1], : len(weight)] = turned
    return made.numpy()
