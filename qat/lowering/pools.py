"""What pools become, and reductions over axes behind the channels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import fx

from emulator.windows import Windows

from ..layers.pools import AveragePool, MaxPool
from .arguments import Arguments, Handler, pair, shape_of
from .moves import add_reshape, add_transpose

if TYPE_CHECKING:
    from .lower import Lowering

Pair = tuple[int, int]


def max_pool(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    axes = spatial(a.self)
    kernel, padding, dilations = pair(a.kernel_size, axes), pair(a.padding, axes, 0), pair(a.dilation, axes)
    strides = pair(a.stride, axes) if a.stride else kernel
    check_ceil(a, node, kernel, strides, padding, dilations)
    add_max_pool(lowering, node, a.self, kernel, strides, padding, dilations)


def average_pool(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    axes = spatial(a.self)
    kernel, padding = pair(a.kernel_size, axes), pair(a.padding, axes, 0)
    strides = pair(a.stride, axes) if a.stride else kernel
    check_ceil(a, node, kernel, strides, padding, (1, 1))
    divisor = getattr(a, "divisor_override", None)
    if divisor not in (None, kernel[0] * kernel[1]):
        raise ValueError(f"divisor_override must be None, not {divisor}")
    source, counts = lowering.source(a.self), a.count_include_pad or divisor is not None
    add_average_pool(lowering, node, source, shape_of(a.self), kernel, strides, padding, counts)


def adaptive_average_pool(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    kernel = adaptive_kernel(a.self, node)
    add_average_pool(lowering, node, lowering.source(a.self), shape_of(a.self), kernel, kernel)


def adaptive_max_pool(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    kernel = adaptive_kernel(a.self, node)
    add_max_pool(lowering, node, a.self, kernel, kernel)


def mean(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    """Over any axes but the batch's and one other, which is brought to the channels' place."""
    shape, source = shape_of(a.self), lowering.source(a.self)
    reduced = reduced_axes(shape, a.dim)
    axes = [axis for axis in range(1, len(shape) + 1) if axis not in reduced]
    if len(shape) == 1 or not axes:
        raise ValueError(f"a reduction must leave an axis behind the batch's, not go over all {len(shape)}")
    if 1 in reduced:
        axes += reduced
        source = add_transpose(lowering, node, source, shape, [0, *axes])
        shape = tuple(shape[axis - 1] for axis in axes)
        reduced = list(range(len(axes) - len(reduced) + 1, len(axes) + 1))
    kernel = reduction_kernel(shape, reduced)
    made = add_average_pool(lowering, node, source, shape, kernel, kernel)
    add_reshape(lowering, node, made, pooled(shape, reduced), shape_of(node))


def maximum(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    shape = shape_of(a.self)
    reduced = reduced_axes(shape, a.dim)
    if 1 in reduced:
        raise ValueError("a maximum must go over axes behind the channels")
    kernel = reduction_kernel(shape, reduced)
    made = add_max_pool(lowering, node, a.self, kernel, kernel)
    add_reshape(lowering, node, made, pooled(shape, reduced), shape_of(node))


def reduced_axes(shape: tuple[int, ...], dims: Any) -> list[int]:
    """The axes that a reduction goes over, the batch being 0, which is an error."""
    rank = len(shape) + 1
    dims = [dims] if isinstance(dims, int) else list(dims or range(rank))
    axes = sorted(dim % rank for dim in dims)
    if not axes or axes[0] == 0:
        raise ValueError("a reduction must not go over the batch")
    return axes


def reduction_kernel(shape: tuple[int, ...], reduced: list[int]) -> Pair:
    """The window of a reduction over axes behind the channels."""
    sizes = [size if axis in reduced else 1 for axis, size in enumerate(shape[1:], 2)]
    return pair(sizes, len(sizes))


def pooled(shape: tuple[int, ...], reduced: list[int]) -> tuple[int, ...]:
    """`shape` with the reduced axes at size 1."""
    return tuple(1 if axis in reduced else size for axis, size in enumerate(shape, 1))


def add_max_pool(
    lowering: Lowering,
    node: fx.Node,
    operand: fx.Node,
    kernel: Pair,
    strides: Pair,
    padding: Pair = (0, 0),
    dilations: Pair = (1, 1),
) -> str:
    source = lowering.source(operand)
    if not Windows(size_of(shape_of(operand)), kernel, strides, padding * 2, dilations).valid_counts().all():
        raise ValueError(f"padding must leave every window a position on the map, not {padding}")
    pool = MaxPool(lowering.unique(node), source, kernel=kernel, strides=strides, padding=padding, dilations=dilations)
    return lowering.add(node, pool)


def add_average_pool(
    lowering: Lowering,
    node: fx.Node,
    source: str,
    shape: tuple[int, ...],
    kernel: Pair,
    strides: Pair,
    padding: Pair = (0, 0),
    count_padding: bool = True,
) -> str:
    layer = AveragePool(
        lowering.unique(node),
        source,
        arithmetic=lowering.arithmetic,
        settings=lowering.settings,
        size=size_of(shape),
        kernel=kernel,
        strides=strides,
        padding=padding,
        count_padding=count_padding,
    )
    return lowering.add(node, layer)


def spatial(operand: object) -> int:
    """How many axes there are behind the channels."""
    axes = len(shape_of(operand)) - 1
    if not 1 <= axes <= 2:
        raise ValueError(f"its input must be a batch of maps or sequences, not {shape_of(operand)} in each sample")
    return axes


def size_of(shape: tuple[int, ...]) -> Pair:
    """(height, width) of a map, (1, length) of a sequence."""
    height, width = (1, *shape[1:])[-2:]
    return height, width


def adaptive_kernel(operand: fx.Node, node: fx.Node) -> Pair:
    """The window of an adaptive pool, whose windows must all be equal."""
    spatial(operand)
    (height, width), (rows, columns) = size_of(shape_of(operand)), size_of(shape_of(node))
    if height % rows or width % columns:
        raise ValueError(f"an adaptive pool's output {rows}×{columns} must divide its input {height}×{width}")
    return height // rows, width // columns


def check_ceil(a: Arguments, node: fx.Node, kernel: Pair, strides: Pair, padding: Pair, dilations: Pair) -> None:
    """Refuse ceil_mode where it adds a window."""
    floor = tuple(
        (size + 2 * p - d * (k - 1) - 1) // s + 1
        for size, k, s, p, d in zip(size_of(shape_of(a.self)), kernel, strides, padding, dilations, strict=True)
    )
    if size_of(shape_of(node)) != floor:
        raise ValueError("ceil_mode must be False where it would add windows")


HANDLERS: dict[str, Handler] = {
    "aten.max_pool1d.default": max_pool,
    "aten.max_pool2d.default": max_pool,
    "aten.avg_pool1d.default": average_pool,
    "aten.avg_pool2d.default": average_pool,
    "aten.adaptive_avg_pool1d.default": adaptive_average_pool,
    "aten.adaptive_avg_pool2d.default": adaptive_average_pool,
    "aten.adaptive_max_pool1d.default": adaptive_max_pool,
    "aten.adaptive_max_pool2d.default": adaptive_max_pool,
    "aten.mean.dim": mean,
    "aten.amax.default": maximum,
}
