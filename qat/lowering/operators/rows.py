"""What operators by rows become: softmax, layer norm and RMS norm over the last axis."""

from __future__ import annotations

import torch
from torch import Tensor, fx

from emulator.operators.row_operators.rows import MAX_LENGTH

from ...layers.rows import Norm, Softmax
from ..arguments import Arguments, shape_of
from ..context import Lowering
from ..registry import handles


@handles("softmax.int", "_softmax.default")
def softmax(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    shape = shape_of(a.self)
    if a.dim % (len(shape) + 1) != len(shape):
        raise ValueError(
            f"a softmax is along the last axis, not along axis {a.dim} of {len(shape) + 1}: transpose it there and back"
        )
    add_softmax(lowering, node, lowering.source(a.self), shape[-1])


def add_softmax(
    lowering: Lowering, node: fx.Node, source: str, length: int, visible: Tensor | None = None, part: str = ""
) -> str:
    """The softmax of the rows of the layer `source`, for `node`; returns its name.

    visible : bool, where an element of a sample counts; None: everywhere
    part : what it computes of the node, where the node stands for more than the softmax
    """
    check_length(length)
    name = lowering.unique(node, part)
    settings = lowering.settings
    return lowering.add(node, Softmax(name, source, arithmetic=lowering.arithmetic, settings=settings, visible=visible))


@handles("layer_norm.default")
def layer_norm(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    add_norm(lowering, node, a, a.eps, True)


@handles("rms_norm.default")
def rms_norm(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    epsilon = torch.finfo(node.meta["val"].dtype).eps if a.eps is None else a.eps
    add_norm(lowering, node, a, epsilon, False)


def add_norm(lowering: Lowering, node: fx.Node, a: Arguments, epsilon: float, centered: bool) -> None:
    length = shape_of(a.input)[-1]
    if list(a.normalized_shape) != [length]:
        raise ValueError(
            f"it must normalize rows, the last axis of {length}, not {tuple(a.normalized_shape)}: flatten these axes "
            "before, and give it their product"
        )
    check_length(length)
    layer = Norm(
        lowering.unique(node),
        lowering.source(a.input),
        arithmetic=lowering.arithmetic,
        settings=lowering.settings,
        length=length,
        gamma=lowering.tensor(a.weight, "weight"),
        beta=lowering.tensor(a.bias, "bias") if centered else None,
        epsilon=epsilon,
        centered=centered,
    )
    lowering.add(node, layer)


def check_length(length: int) -> None:
    """Raise ``ValueError`` for a row that is longer than the widths of its sums allow."""
    if length > MAX_LENGTH:
        raise ValueError(f"its rows must have 1 to {MAX_LENGTH} elements, not {length}: cut them into parts")
