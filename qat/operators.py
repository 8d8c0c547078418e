"""What each operator of torch.export's graph becomes: one handler per operator."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import Tensor, fx

from .accumulate import Geometry
from .moves import Dropout, Flatten
from .pools import AveragePool, MaxPool
from .quantizers import NO_CLAMP
from .trace import module_path
from .weighted import BatchNorm, Weighted

if TYPE_CHECKING:
    from .lower import Lowering

Handler = Callable[["Lowering", fx.Node, "Arguments"], None]
HANDLERS: dict[str, Handler] = {}


class Arguments:
    """A node's arguments under the names of its operator's schema, defaults included."""

    def __init__(self, node: fx.Node) -> None:
        for index, argument in enumerate(node.target._schema.arguments):  # type: ignore[union-attr]
            default = argument.default_value if argument.has_default_value() else None
            value = node.args[index] if index < len(node.args) else node.kwargs.get(argument.name, default)
            setattr(self, argument.name, value)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


def handles(*operators: str) -> Callable[[Handler], Handler]:
    """Register a handler for operators; an in-place variant is its operator without the underscore."""

    def register(handler: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(operators, handler))
        return handler

    return register


@handles("aten.conv2d.default", "aten.conv2d.padding")
def convolution(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    strides, dilations = pair(a.stride), pair(a.dilation)
    if isinstance(a.padding, str):
        _, _, height, width = a.weight.meta["val"].shape
        total = [d * (k - 1) if a.padding == "same" else 0 for d, k in zip(dilations, (height, width), strict=True)]
        # Where the total is odd, torch pads one more behind than before.
        padding = (total[0] // 2, total[1] // 2, total[0] - total[0] // 2, total[1] - total[1] // 2)
    else:
        padding = pair(a.padding) * 2
    geometry = Geometry(strides=strides, padding=padding, dilations=dilations, groups=a.groups)
    weighted(lowering, node, a, geometry)


@handles("aten.linear.default")
def linear(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    if len(shape_of(a.input)) != 1:
        raise ValueError(
            f"its input must have shape (batch, length), not (batch, {', '.join(map(str, shape_of(a.input)))})"
        )
    weighted(lowering, node, a, None)


def weighted(lowering: Lowering, node: fx.Node, a: Arguments, geometry: Geometry | None) -> None:
    weight = lowering.parameter(a.weight, "weight")
    assert weight is not None
    layer = Weighted(
        lowering.unique(node),
        lowering.source(a.input),
        lowering.arithmetic,
        lowering.learned,
        weight=weight,
        bias=lowering.parameter(a.bias, "bias"),
        channels=int(a.weight.meta["val"].shape[0]),
        geometry=geometry,
    )
    lowering.add(node, layer)


@handles("aten.batch_norm.default")
def batch_norm(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    layer = lowering.layers.get(lowering.source(a.input))
    if (
        not isinstance(layer, Weighted)
        or layer.batch_norm
        or layer.clamp != NO_CLAMP
        or not lowering.alone(node, a.input)
    ):
        raise ValueError("a BatchNorm must follow a convolution or a linear layer directly")
    if a.running_mean is None or a.running_var is None or a.training:
        raise ValueError("a BatchNorm must have running statistics")
    mean, variance = lowering.parameter(a.running_mean, "mean"), lowering.parameter(a.running_var, "variance")
    assert mean is not None and variance is not None
    layer.batch_norm = BatchNorm(
        module=module_path(node),
        weight=lowering.parameter(a.weight, "weight"),
        bias=lowering.parameter(a.bias, "bias"),
        running_mean=mean,
        running_var=variance,
        eps=a.eps,
        momentum=a.momentum,
    )
    lowering.alias(node, layer.name)


@handles("aten.relu.default")
def relu(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    lowering.clamp(node, a.self, 0.0, None)


@handles("aten.relu6.default")
def relu6(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    lowering.clamp(node, a.self, 0.0, 6.0)


@handles("aten.hardtanh.default")
def hardtanh(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    lowering.clamp(node, a.self, a.min_val, a.max_val)


@handles("aten.clamp.default", "aten.clip.default", "aten.clamp_min.default", "aten.clamp_max.default")
def clamp(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    lowering.clamp(node, a.self, getattr(a, "min", None), getattr(a, "max", None))


@handles("aten.max_pool2d.default")
def max_pool(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    kernel, padding, dilations = pair(a.kernel_size), pair(a.padding), pair(a.dilation)
    strides = pair(a.stride) if a.stride else kernel
    check_ceil(a, node, kernel, strides, padding, dilations)
    add_max_pool(lowering, node, a.self, kernel, strides, padding, dilations)


@handles("aten.avg_pool2d.default")
def average_pool(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    kernel, padding = pair(a.kernel_size), pair(a.padding)
    strides = pair(a.stride) if a.stride else kernel
    check_ceil(a, node, kernel, strides, padding, (1, 1))
    if a.divisor_override not in (None, kernel[0] * kernel[1]):
        raise ValueError(f"divisor_override must be None, not {a.divisor_override}")
    add_average_pool(
        lowering, node, a.self, kernel, strides, padding, a.count_include_pad or a.divisor_override is not None
    )


@handles("aten.adaptive_avg_pool2d.default")
def adaptive_average_pool(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    kernel = adaptive_kernel(a.self, node)
    add_average_pool(lowering, node, a.self, kernel, kernel, (0, 0), True)


@handles("aten.mean.dim")
def global_average_pool(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    kernel = global_kernel(a.self, a.dim)
    add_average_pool(lowering, node, a.self, kernel, kernel, (0, 0), True)
    if not a.keepdim:
        add_flatten(lowering, node, lowering.made[node])


@handles("aten.amax.default")
def global_max_pool(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    kernel = global_kernel(a.self, a.dim)
    add_max_pool(lowering, node, a.self, kernel, kernel, (0, 0), (1, 1))
    if not a.keepdim:
        add_flatten(lowering, node, lowering.made[node])


@handles(
    "aten.flatten.using_ints", "aten.view.default", "aten.reshape.default", "aten.squeeze.default", "aten.squeeze.dim",
    "aten.squeeze.dims", "aten._unsafe_view.default",
)  # fmt: skip
def flatten(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    source, target = shape_of(a.self), shape_of(node)
    name = lowering.source(a.self)
    if source == target:
        lowering.alias(node, name)
    elif len(source) == 3 and target == (source[0] * source[1] * source[2],):
        add_flatten(lowering, node, name)
    else:
        raise ValueError(f"a reshape must flatten a feature map to (batch, length), not {source} to {target}")


@handles("aten.dropout.default", "aten.feature_dropout.default")
def dropout(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    if a.train:
        raise ValueError("a dropout must be off in eval mode: give it training=self.training")
    if not 0 <= a.p < 1:
        raise ValueError(f"p must be at least 0 and below 1, not {a.p!r}")
    whole = "feature" in str(node.target)
    name = lowering.unique(node)
    lowering.add(node, Dropout(name, lowering.source(a.input), p=a.p, whole_channels=whole, module=module_path(node)))


@handles("aten.clone.default", "aten.contiguous.default", "aten.alias.default", "aten.detach.default")
def identity(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    lowering.alias(node, lowering.source(node.args[0]))


@handles("aten.to.dtype", "aten._to_copy.default")
def cast(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    if node.meta["val"].dtype != a.self.meta["val"].dtype:
        raise ValueError("the type of its tensor must stay the same")
    lowering.alias(node, lowering.source(a.self))


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
        lowering.arithmetic,
        lowering.learned,
        size=(shape[1], shape[2]),
        kernel=kernel,
        strides=strides,
        padding=padding,
        count_padding=count_padding,
    )
    lowering.add(node, layer)


def add_flatten(lowering: Lowering, node: fx.Node, source: str) -> None:
    lowering.add(node, Flatten(lowering.unique(node), source))


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


def pair(value: Any) -> tuple[int, int]:
    """One or two constant integers as two."""
    values = [value] if isinstance(value, int) else list(value)
    if not values or not all(type(v) is int for v in values):
        raise ValueError("sizes, strides and padding must be constant integers")
    return values[0], values[-1]


def shape_of(node: object) -> tuple[int, ...]:
    """A tensor's shape without the batch axis."""
    value = node.meta.get("val") if isinstance(node, fx.Node) else None
    if not isinstance(value, Tensor):
        raise ValueError("its input must be a tensor that the model's layers make")
    shape = tuple(value.shape[1:])
    if not all(type(size) is int for size in shape):
        raise ValueError("all sizes but the batch's must be constant")
    return shape
