"""What transposed convolutions and upsampling become: gathers, and convolutions whose results take turns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx

from ...integers.geometry import Geometry
from ...layers.computed import fixed
from ...layers.shaped import transposed_groups
from ...layers.transposed import Phases, TransposedConvolution, phases
from ...layers.weighted import Weighted
from ..arguments import Arguments, pair, shape_of
from ..context import Lowering
from ..registry import handles
from .gathers import add_gather
from .moves import add_transpose
from .padding import PLACES
from .pools import size_of, spatial


@handles("conv_transpose1d.default", "conv_transpose2d.input")
def transposed_convolution(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    """A 1-D one is one of a map of height 1."""
    axes = spatial(a.input)
    if a.weight not in lowering.constants:
        raise ValueError(
            "its weight must be a parameter of the model, or made of parameters alone: use nn.functional.conv2d "
            "of activations alone"
        )
    kernel = pair(list(a.weight.meta["val"].shape[2:]), axes)
    fields = pair(a.stride, axes), pair(a.padding, axes, 0), pair(a.output_padding, axes, 0), pair(a.dilation, axes)
    rows, columns = (
        phases(size, k, *(field[axis] for field in fields))
        for axis, (size, k) in enumerate(zip(size_of(shape_of(a.input)), kernel, strict=True))
    )
    layer = TransposedConvolution(
        lowering.unique(node),
        lowering.source(a.input),
        arithmetic=lowering.arithmetic,
        settings=lowering.settings,
        weight=lowering.constants.computed(a.weight, (transposed_groups, (a.groups,))),
        bias=lowering.tensor(a.bias, "bias"),
        channels=int(a.weight.meta["val"].shape[1]) * a.groups,
        groups=a.groups,
        axes=(rows, columns),
    )
    lowering.add(node, layer)


@handles(
    "upsample_nearest1d.vec", "upsample_nearest2d.vec", "_upsample_nearest_exact1d.vec",
    "_upsample_nearest_exact2d.vec",
)  # fmt: skip
def nearest(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    """Any factors: codes from other places."""
    before, after, source = shape_of(a.input), shape_of(node), lowering.source(a.input)
    mode = "nearest-exact" if "exact" in str(node.target) else "nearest"
    factors = a.scale_factors or [None] * (len(before) - 1)
    for axis, (size, wanted, factor) in enumerate(zip(before[1:], after[1:], factors, strict=True), 2):
        line = torch.arange(size, dtype=torch.float32).view(1, 1, size)
        options = {"size": wanted} if factor is None else {"scale_factor": factor}
        places = F.interpolate(line, mode=mode, **options).flatten().tolist()
        source = add_gather(lowering, node, source, axis, places, size)
    lowering.alias(node, source)


@handles("upsample_linear1d.vec", "upsample_bilinear2d.vec", "upsample_bicubic2d.vec")
def linear(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    """By integer factors a depthwise transposed convolution, otherwise a product with a matrix along each axis.

    The former's weights are exact codes; what is cubic, or keeps its corners, takes the latter.
    """
    before, after, source = shape_of(a.input), shape_of(node), lowering.source(a.input)
    sizes, limit = before[1:], (1 << (lowering.arithmetic.weight_bits - 1)) - 1
    given = a.scale_factors or [new / size for new, size in zip(after[1:], sizes, strict=True)]
    factors = [int(factor) for factor in given]
    exact = factors == given and min(factors) > 0 and not a.align_corners and max(map(most, factors)) <= limit
    if not exact or "cubic" in str(node.target):
        mode = "bicubic" if "cubic" in str(node.target) else "bilinear"
        for axis, (size, wanted) in enumerate(zip(sizes, after[1:], strict=True), 2):
            option: dict[str, Any] = {"size": (wanted, 1)}
            if a.scale_factors:
                option = {"scale_factor": (a.scale_factors[axis - 2], 1.0)}
            each = torch.eye(size).view(1, size, size, 1)
            matrix = F.interpolate(each, mode=mode, align_corners=a.align_corners, **option)[0, :, :, 0].T
            if not torch.equal(matrix, torch.eye(size)):
                source = add_product(lowering, node, source, before, axis, matrix)
            before = (*before[: axis - 1], wanted, *before[axis:])
    else:
        together = math.prod(map(most, factors)) <= limit
        axes = range(len(factors))
        for group in [list(axes)] if together else [[axis] for axis in axes]:
            used = [factor if axis in group else 1 for axis, factor in enumerate(factors)]
            if max(used) > 1:
                source = add_linear(lowering, node, source, before, used)
            before = (before[0], *(size * factor for size, factor in zip(before[1:], used, strict=True)))
    lowering.alias(node, source)


def most(factor: int) -> int:
    """The largest of the numbers whose ratio to their sum are the weights of a linear upsampling."""
    return factor if factor % 2 else 2 * factor - 1


def add_linear(lowering: Lowering, node: fx.Node, source: str, shape: tuple[int, ...], factors: Sequence[int]) -> str:
    """Upsample a map or a sequence, its outermost positions repeated once."""
    for axis, (factor, size) in enumerate(zip(factors, shape[1:], strict=True), 2):
        if factor > 1:
            source = add_gather(lowering, node, source, axis, PLACES["replicate"](1, size, 1).tolist(), size)
    unit = 1.0 / math.prod(most_sum(factor) for factor in factors)
    rows, columns = ([1, *factors])[-2:]
    weight = torch.outer(triangle(rows), triangle(columns)) * unit
    weight = weight if len(factors) == 2 else weight[0]
    height, width = size_of(shape)
    layer = TransposedConvolution(
        lowering.unique(node),
        source,
        arithmetic=lowering.arithmetic,
        settings=lowering.settings,
        weight=fixed(weight.expand(shape[0], 1, *weight.shape).clone()),
        bias=None,
        channels=shape[0],
        groups=shape[0],
        axes=(stretched(height, rows), stretched(width, columns)),
        unit=unit,
    )
    return lowering.add(node, layer)


def most_sum(factor: int) -> int:
    """The sum of the integers that are a position's weights."""
    return factor if factor % 2 else 2 * factor


def triangle(factor: int) -> torch.Tensor:
    """The kernel of a linear upsampling in integers: 1, 3, 5 … 5, 3, 1, or for an odd factor 1, 2, 3 … 2, 1."""
    rise = torch.arange(1, factor + 1) if factor % 2 else torch.arange(1, 2 * factor, 2)
    return torch.cat([rise, rise.flip(0)[factor % 2 :]]).float()


def stretched(size: int, factor: int) -> Phases:
    """The transposed convolution with the kernel `triangle` on an axis that was repeated at either end."""
    if factor == 1:
        return phases(size, 1, 1, 0, 0, 1)
    kernel = 2 * factor - factor % 2
    # Input i, the (i + 1)th here, has its peak at factor · i + (factor − 1) / 2 in the result.
    return phases(size + 2, kernel, factor, factor + factor // 2, 0, 1)


def add_product(
    lowering: Lowering, node: fx.Node, source: str, shape: tuple[int, ...], axis: int, matrix: torch.Tensor
) -> str:
    """The product with a matrix (places, size of the axis): a 1×1 convolution of the axis in the channels' place."""
    order = list(range(len(shape) + 1))
    order[1], order[axis] = order[axis], order[1]
    turned = [shape[place - 1] for place in order[1:]]
    source = add_transpose(lowering, node, source, shape, order)
    layer = Weighted(
        lowering.unique(node),
        source,
        arithmetic=lowering.arithmetic,
        settings=lowering.settings,
        weight=fixed(matrix.reshape(*matrix.shape, *[1] * (len(shape) - 1)).clone()),
        bias=None,
        channels=len(matrix),
        geometry=Geometry(),
        unit=1 / 127,
    )
    source = lowering.add(node, layer)
    return add_transpose(lowering, node, source, (len(matrix), *turned[1:]), order)
