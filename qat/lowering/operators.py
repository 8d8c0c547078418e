"""What the operators with weights become, and those that move codes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch import fx

from ..accumulate import Geometry
from ..layers.moves import Dropout, Flatten
from ..layers.weighted import BatchNorm, Weighted
from .arguments import Arguments, Handler, pair, shape_of
from .pseudo import Normalization
from .trace import module_path

if TYPE_CHECKING:
    from .lower import Lowering


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
        arithmetic=lowering.arithmetic,
        learned=lowering.learned,
        weight=weight,
        bias=lowering.parameter(a.bias, "bias"),
        channels=int(a.weight.meta["val"].shape[0]),
        geometry=geometry,
    )
    lowering.add(node, layer)


def batch_norm(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    if a.running_mean is None or a.running_var is None or a.training:
        raise ValueError("a BatchNorm must have running statistics")
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
    )
    lowering.add(node, Normalization(lowering.unique(node), lowering.source(a.input), norm))


def flatten(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    source, target = shape_of(a.self), shape_of(node)
    name = lowering.source(a.self)
    if source == target or (len(source) < 3 and len(target) < 3 and trimmed(source) == trimmed(target)):
        lowering.alias(node, name)
    elif len(source) == 3 and len(target) < 3 and trimmed(target) == trimmed((math.prod(source),)):
        add_flatten(lowering, node, name, source)
    else:
        raise ValueError(f"a reshape must flatten a feature map to (batch, length), not {source} to {target}")


def trimmed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """`shape` without the ones at its end: what squeezing one axis after the other leaves is still the same vector."""
    return trimmed(shape[:-1]) if shape[-1:] == (1,) else shape


def dropout(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    if a.train:
        raise ValueError("a dropout must be off in eval mode: give it training=self.training")
    if not 0 <= a.p < 1:
        raise ValueError(f"p must be at least 0 and below 1, not {a.p!r}")
    whole = "feature" in str(node.target)
    name = lowering.unique(node)
    lowering.add(node, Dropout(name, lowering.source(a.input), p=a.p, whole_channels=whole, module=module_path(node)))


def identity(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    lowering.alias(node, lowering.source(node.args[0]))


def cast(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    if node.meta["val"].dtype != a.self.meta["val"].dtype:
        raise ValueError("the type of its tensor must stay the same")
    lowering.alias(node, lowering.source(a.self))


def add_flatten(lowering: Lowering, node: fx.Node, source: str, shape: tuple[int, ...]) -> None:
    reorders = shape[0] > 1 and math.prod(shape[1:]) > 1
    lowering.add(node, Flatten(lowering.unique(node), source, reorders))


HANDLERS: dict[str, Handler] = {
    "aten.conv2d.default": convolution,
    "aten.conv2d.padding": convolution,
    "aten.linear.default": linear,
    "aten.batch_norm.default": batch_norm,
    "aten.flatten.using_ints": flatten,
    "aten.view.default": flatten,
    "aten.reshape.default": flatten,
    "aten.squeeze.default": flatten,
    "aten.squeeze.dim": flatten,
    "aten.squeeze.dims": flatten,
    "aten._unsafe_view.default": flatten,
    "aten.dropout.default": dropout,
    "aten.feature_dropout.default": dropout,
    "aten.clone.default": identity,
    "aten.contiguous.default": identity,
    "aten.alias.default": identity,
    "aten.to.dtype": cast,
    "aten._to_copy.default": cast,
}
