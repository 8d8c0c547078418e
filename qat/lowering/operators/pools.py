"""What pools become, and reductions over axes behind the channels."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from torch import fx

from emulator.operators.shared.windows import Windows

from ...integers.geometry import Window
from ...layers.expression import Expression, X
from ...layers.moves import Pad
from ...layers.pools import AveragePool, MaxPool
from ...layers.raw_pool import RawAveragePool
from ..arguments import Arguments, pair, shape_of
from ..context import Lowering
from ..pseudo import Function
from ..registry import handles
from .moves import add_reshape, add_transpose
from .padding import add_zeros

Pair = tuple[int, int]


@handles("max_pool1d.default", "max_pool2d.default")
def max_pool(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    add_max_pool(lowering, node, a.self, window_of(a, node))


@handles("avg_pool1d.default", "avg_pool2d.default")
def average_pool(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    window = window_of(a, node)
    divisor = getattr(a, "divisor_override", None)
    if divisor not in (None, window.area):
        raise ValueError(f"divisor_override must be None, not {divisor}: multiply the mean behind the pool")
    source, shape = lowering.source(a.self), shape_of(a.self)
    counts = a.count_include_pad or divisor is not None
    if window.beyond != (0, 0) and counts:  # what is beyond does not count: let the padding be a part of the map
        added = dict(enumerate(zip(window.padding, window.padding, strict=True), 2 if len(shape) == 3 else 1))
        added.pop(1, None)
        source = add_zeros(lowering, node, source, shape, added)
        before = window.padding[-(len(shape) - 1) :]
        shape = (shape[0], *(size + 2 * padding for size, padding in zip(shape[1:], before, strict=True)))
        window, counts = replace(window, padding=(0, 0)), False
    add_average_pool(lowering, node, source, shape, window, counts)


@handles("adaptive_avg_pool1d.default", "adaptive_avg_pool2d.default")
def adaptive_average_pool(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    add_average_pool(lowering, node, lowering.source(a.self), shape_of(a.self), adaptive_window(a.self, node))


@handles("adaptive_max_pool1d.default", "adaptive_max_pool2d.default")
def adaptive_max_pool(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    add_max_pool(lowering, node, a.self, adaptive_window(a.self, node))


@handles("mean.dim")
def mean(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    add_mean(lowering, node, a)


def add_mean(lowering: Lowering, node: fx.Node, a: Arguments, factor: int = 1) -> None:
    """Over any axes but the batch's and one other, which is brought to the channels' place."""
    shape, source = shape_of(a.self), lowering.source(a.self)
    reduced = reduced_axes(shape, a.dim)
    axes = [axis for axis in range(1, len(shape) + 1) if axis not in reduced]
    if len(shape) == 1 or not axes:
        raise ValueError(
            f"a reduction must leave an axis behind the batch's, not go over all {len(shape)}: flatten to (batch, "
            "1, elements) first"
        )
    if 1 in reduced:
        axes += reduced
        source = add_transpose(lowering, node, source, shape, [0, *axes])
        shape = tuple(shape[axis - 1] for axis in axes)
        reduced = list(range(len(axes) - len(reduced) + 1, len(axes) + 1))
    made = add_average_pool(lowering, node, source, shape, reduction_window(shape, reduced))
    if factor != 1:
        expression = Expression("Mul", (X, float(factor)))
        made = lowering.add(node, Function(lowering.unique(node), made, expression))
    add_reshape(lowering, node, made, pooled(shape, reduced), shape_of(node))


@handles("sum.dim_IntList")
def total(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    """The mean times the number of its elements."""
    shape = shape_of(a.self)
    reduced = reduced_axes(shape, a.dim)
    add_mean(lowering, node, a, factor=math.prod(shape[axis - 1] for axis in reduced))


@handles("amax.default")
def maximum(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    shape = shape_of(a.self)
    reduced = reduced_axes(shape, a.dim)
    if 1 in reduced:
        raise ValueError("a maximum must go over axes behind the channels: permute the axes first")
    made = add_max_pool(lowering, node, a.self, reduction_window(shape, reduced))
    add_reshape(lowering, node, made, pooled(shape, reduced), shape_of(node))


def reduced_axes(shape: tuple[int, ...], dims: Any) -> list[int]:
    """The axes that a reduction goes over, the batch being 0, which is an error."""
    rank = len(shape) + 1
    dims = [dims] if isinstance(dims, int) else list(dims or range(rank))
    axes = sorted(dim % rank for dim in dims)
    if not axes or axes[0] == 0:
        raise ValueError("a reduction must not go over the batch: compute it behind the model")
    return axes


def reduction_window(shape: tuple[int, ...], reduced: list[int]) -> Window:
    """The window of a reduction over axes behind the channels."""
    sizes = [size if axis in reduced else 1 for axis, size in enumerate(shape[1:], 2)]
    return tiling(pair(sizes, len(sizes)))


def pooled(shape: tuple[int, ...], reduced: list[int]) -> tuple[int, ...]:
    """`shape` with the reduced axes at size 1."""
    return tuple(1 if axis in reduced else size for axis, size in enumerate(shape, 1))


def add_max_pool(lowering: Lowering, node: fx.Node, operand: fx.Node, window: Window) -> str:
    source, size = lowering.source(operand), size_of(shape_of(operand))
    lying = Windows(size, window.kernel, window.strides, window.sides, window.dilations)
    if not lying.valid_counts().all():
        raise ValueError(f"padding must leave every window a position on the map, not {window.padding}: pad less")
    return lowering.add(node, MaxPool(lowering.unique(node), source, window))


def add_average_pool(
    lowering: Lowering,
    node: fx.Node,
    source: str,
    shape: tuple[int, ...],
    window: Window,
    count_padding: bool = True,
) -> str:
    """The layer of a mean; TFLM's never counts padding, so a layer of zeros stands in front of it where that counts."""
    if lowering.arithmetic.is_tflm:
        if count_padding and any(window.padding):
            padding = window.padding * 2 if len(shape) == 3 else (0, window.padding[1]) * 2
            source = lowering.add(node, Pad(lowering.unique(node, "padded"), source, padding))
            window = replace(window, padding=(0, 0))
        raw = RawAveragePool(lowering.unique(node), source, arithmetic=lowering.arithmetic, window=window)
        return lowering.add(node, raw)
    layer = AveragePool(
        lowering.unique(node),
        source,
        arithmetic=lowering.arithmetic,
        settings=lowering.settings,
        size=size_of(shape),
        window=window,
        count_padding=count_padding,
    )
    return lowering.add(node, layer)


def window_of(a: Arguments, node: fx.Node) -> Window:
    """The window of a pool with these arguments."""
    axes = spatial(a.self)
    kernel = pair(a.kernel_size, axes)
    window = Window(
        kernel=kernel,
        strides=pair(a.stride, axes) if a.stride else kernel,
        padding=pair(a.padding, axes, 0),
        dilations=pair(getattr(a, "dilation", 1), axes),
    )
    pairs = (size_of(shape_of(a.self)), window.kernel, window.strides, window.padding, window.dilations)
    # What the last window reaches beyond the padded map: with ceil_mode, or to the front of it without.
    beyond = [
        (count - 1) * s + d * (k - 1) + 1 - size - 2 * p
        for count, size, k, s, p, d in zip(size_of(shape_of(node)), *pairs, strict=True)
    ]
    return replace(window, beyond=(max(beyond[0], 0), max(beyond[1], 0)))


def tiling(kernel: Pair) -> Window:
    """Windows that lie side by side."""
    return Window(kernel=kernel, strides=kernel)


def spatial(operand: object) -> int:
    """How many axes there are behind the channels."""
    axes = len(shape_of(operand)) - 1
    if not 1 <= axes <= 2:
        raise ValueError(
            f"its input must be a batch of maps or sequences, not {shape_of(operand)} in each sample: reshape or "
            "unsqueeze it"
        )
    return axes


def size_of(shape: tuple[int, ...]) -> Pair:
    """(height, width) of a map, (1, length) of a sequence."""
    height, width = (1, *shape[1:])[-2:]
    return height, width


def adaptive_window(operand: fx.Node, node: fx.Node) -> Window:
    """The window of an adaptive pool, whose windows must all be equal."""
    spatial(operand)
    (height, width), (rows, columns) = size_of(shape_of(operand)), size_of(shape_of(node))
    if height % rows or width % columns:
        raise ValueError(
            f"an adaptive pool's output {rows}×{columns} must divide its input {height}×{width}: use a pool with "
            "a kernel and a stride"
        )
    return tiling((height // rows, width // columns))
