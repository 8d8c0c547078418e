"""What convolutions, linear layers and BatchNorm become."""

from __future__ import annotations

from torch import fx

from ...integers.geometry import Geometry
from ...layers.parameters import BatchNorm
from ...layers.weighted import Weighted
from ..arguments import Arguments, pair, shape_of
from ..context import Lowering
from ..pseudo import Normalization
from ..registry import handles
from ..trace import module_path
from .moves import add_reshape


@handles("conv1d.default", "conv1d.padding", "conv2d.default", "conv2d.padding")
def convolution(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    """A 1-D convolution is one of a map of height 1."""
    height, width = (1, *a.weight.meta["val"].shape[2:])[-2:]
    axes = len(shape_of(node)) - 1
    if not 1 <= axes <= 2:
        raise ValueError(
            f"its input must be a batch of maps or sequences, not {shape_of(a.input)} in each sample: bring its "
            "axes to 2 or 3 behind the batch"
        )
    strides, dilations = pair(a.stride, axes), pair(a.dilation, axes)
    if isinstance(a.padding, str):
        total = [d * (k - 1) if a.padding == "same" else 0 for d, k in zip(dilations, (height, width), strict=True)]
        # Where the total is odd, torch pads one more behind than before.
        padding = (total[0] // 2, total[1] // 2, total[0] - total[0] // 2, total[1] - total[1] // 2)
    else:
        padding = pair(a.padding, axes, 0) * 2
    geometry = Geometry(strides=strides, padding=padding, dilations=dilations, groups=a.groups)
    add_weighted(lowering, node, lowering.unique(node), lowering.source(a.input), a.weight, a.bias, geometry)


@handles("linear.default")
def linear(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    """Of vectors, of sequences (batch, rows, length), and of maps with their channels last: of every pixel."""
    shape, source = shape_of(a.input), lowering.source(a.input)
    if len(shape) == 3:
        source = add_reshape(lowering, node, source, shape, (shape[0] * shape[1], shape[2]))
    made = add_weighted(lowering, node, lowering.unique(node), source, a.weight, a.bias, None)
    if len(shape) == 3:
        add_reshape(lowering, node, made, (), shape_of(node))


def add_weighted(
    lowering: Lowering,
    node: fx.Node,
    name: str,
    source: str,
    weight: fx.Node,
    bias: fx.Node | None,
    geometry: Geometry | None,
) -> str:
    """A convolution or a matrix product; returns its name."""
    tensor = lowering.tensor(weight, "weight")
    assert tensor is not None
    layer = Weighted(
        name,
        source,
        arithmetic=lowering.arithmetic,
        settings=lowering.settings,
        weight=tensor,
        bias=lowering.tensor(bias, "bias"),
        channels=int(weight.meta["val"].shape[0]),
        geometry=geometry,
    )
    return lowering.add(node, layer)


@handles("batch_norm.default")
def batch_norm(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    if a.running_mean is None or a.running_var is None or a.training:
        raise ValueError(
            "a BatchNorm without running statistics normalizes each batch by itself: give it track_running_stats=True, "
            "and its model eval()"
        )
    add_normalization(lowering, node, a, frozen=False)


@handles("instance_norm.default")
def instance_norm(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    """With running statistics, in eval mode: an affine function per channel."""
    if a.running_mean is None or a.running_var is None or a.use_input_stats:
        raise ValueError(
            "an InstanceNorm that normalizes each sample by its own statistics is no affine function of its input: use "
            "BatchNorm, or track_running_stats=True with statistics to keep"
        )
    add_normalization(lowering, node, a, frozen=True)


def add_normalization(lowering: Lowering, node: fx.Node, a: Arguments, *, frozen: bool) -> None:
    """Fusing folds it into a layer before it, or makes one of it."""
    mean, variance = lowering.parameter(a.running_mean, "mean"), lowering.parameter(a.running_var, "variance")
    assert mean is not None and variance is not None
    norm = BatchNorm(
        module=module_path(node),
        weight=lowering.parameter(a.weight, "weight"),
        bias=lowering.parameter(a.bias, "bias"),
        running_mean=mean,
        running_var=variance,
        eps=a.eps,
        momentum=a.momentum,
        frozen=frozen,
    )
    lowering.add(node, Normalization(lowering.unique(node), lowering.source(a.input), norm, shape_of(node)))
