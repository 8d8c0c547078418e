"""What the pools of torch.export's graph become, reductions over height and width among them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import fx

from emulator.windows import Windows

from ..layers.pools import AveragePool, MaxPool
from .arguments import Arguments, Handler, pair, shape_of
from .operators import add_flatten

if TYPE_CHECKING:
    from .lower import Lowering


def max_pool(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    kernel, padding, dilations = pair(a.kernel_size), pair(a.padding), pair(a.dilation)
    strides = pair(a.stride) if a.stride else kernel
    check_ceil(a, node, kernel, strides, padding, dilations)
    add_max_pool(lowering, node, a.self, kernel, strides, padding, dilations)


def average_pool(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    kernel, padding = pair(a.kernel_size), pair(a.padding)
    strides = pair(a.stride) if a.stride else kernel
    check_ceil(a, node, kernel, strides, padding, (1, 1))
    if a.divisor_override not in (None, kernel[0] * kernel[1]):
        raise ValueError(f"divisor_override must be None, not {a.divisor_override}")
    add_average_pool(
        lowering, node, a.self, kernel, strides, padding, a.count_include_pad or a.divisor_override is not None
    )


def adaptive_average_pool(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    kernel = adaptive_kernel(a.self, node)
    add_average_pool(lowering, node, a.self, kernel, kernel, (0, 0), True)


def adaptive_max_pool(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    kernel = adaptive_kernel(a.self, node)
    add_max_pool(lowering, node, a.self, kernel, kernel, (0, 0), (1, 1))


def global_average_pool(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    kernel = global_kernel(a.self, a.dim)
    add_average_pool(lowering, node, a.self, kernel, kernel, (0, 0), True)
    if not a.keepdim:
        add_flatten(lowering, node, lowering.source(node), (shape_of(node)[0], 1, 1))


def global_max_pool(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    kernel = global_kernel(a.self, a.dim)
    add_max_pool(lowering, node, a.self, kernel, kernel, (0, 0), (1, 1))
    if not a.keepdim:
        add_flatten(lowering, node, lowering.source(node), (shape_of(node)[0], 1, 1))


def add_max_pool(
    lowering: Lowering,
    node: fx.Node,
    operand: object,
    kernel: tuple[int, int],
    strides: tuple[int, int],
    padding: tuple[int, int],
    dilations: tuple[int, int],
) -> None:
    source = lowering.source(operand)
    if not Windows(shape_of(operand)[1:], kernel, strides, padding * 2, dilations).valid_counts().all():
        raise ValueError(f"padding must leave every window a position on the map, not {padding}")
    pool = MaxPool(lowering.unique(node), source, kernel=kernel, strides=strides, padding=padding, dilations=dilations)
    lowering.add(node, pool)


def add_average_pool(
    lowering: Lowering,
    node: fx.Node,
    operand: fx.Node,
    kernel: tuple[int, int],
    strides: tuple[int, int],
    padding: tuple[int, int],
    count_padding: bool,
) -> None:
    shape = shape_of(operand)
    layer = AveragePool(
        lowering.unique(node),
        lowering.source(operand),
        arithmetic=lowering.arithmetic,
        learned=lowering.learned,
        size=(shape[1], shape[2]),
        kernel=kernel,
        strides=strides,
        padding=padding,
        count_padding=count_padding,
    )
    lowering.add(node, layer)


def adaptive_kernel(operand: fx.Node, node: fx.Node) -> tuple[int, int]:
    """The window of an adaptive pool, whose windows must all be equal."""
    (_, height, width), (_, rows, columns) = shape_of(operand), shape_of(node)
    if height % rows or width % columns:
        raise ValueError(f"an adaptive pool's output {rows}×{columns} must divide its input {height}×{width}")
    return height // rows, width // columns


def global_kernel(operand: fx.Node, dims: Any) -> tuple[int, int]:
    """The window that covers the map, for a reduction over height and width."""
    shape = shape_of(operand)
    if len(shape) != 3 or sorted(d % 4 for d in dims or ()) != [2, 3]:
        raise ValueError("a reduction must go over height and width of a feature map")
    return shape[1], shape[2]


def check_ceil(
    a: Arguments,
    node: fx.Node,
    kernel: tuple[int, int],
    strides: tuple[int, int],
    padding: tuple[int, int],
    dilations: tuple[int, int],
) -> None:
    """Refuse ceil_mode where it adds a window."""
    sizes = shape_of(a.self)[1:]
    floor = tuple(
        (size + 2 * p - d * (k - 1) - 1) // s + 1
        for size, k, s, p, d in zip(sizes, kernel, strides, padding, dilations, strict=True)
    )
    if shape_of(node)[1:] != floor:
        raise ValueError("ceil_mode must be False where it would add windows")


HANDLERS: dict[str, Handler] = {
    "aten.max_pool2d.default": max_pool,
    "aten.avg_pool2d.default": average_pool,
    "aten.adaptive_avg_pool2d.default": adaptive_average_pool,
    "aten.adaptive_max_pool2d.default": adaptive_max_pool,
    "aten.mean.dim": global_average_pool,
    "aten.amax.default": global_max_pool,
}
