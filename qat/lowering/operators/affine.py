"""What parameters become that are added to activations or multiplied with them: depthwise 1×1 convolutions.

A position embedding, a layer scale, a mask. Where the constant differs along other axes than the channels', these axes
are brought in front first, so that one requantization, with a bias in the accumulator's precision, does it all.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import fx

from ...integers.geometry import Geometry
from ...layers.computed import Computed, ones
from ...layers.shaped import flat, per_channel
from ...layers.weighted import Weighted
from ..constants import Step
from ..context import Lowering
from .gathers import add_expanded
from .moves import add_reshape, add_transpose

STEPS: dict[str, list[Step]] = {"Mul": [], "Div": [(torch.reciprocal, ())], "Not": [(torch.rsub, (1.0,))]}
UNIT_BITS = 6  # of a weight that stands for 1: so much finer than the input's scale is a constant that is added


def add_affine(
    lowering: Lowering,
    node: fx.Node,
    source: str,
    shape: tuple[int, ...],
    constant: fx.Node,
    operator: str,
    turned: bool,
) -> str:
    """tensor OPERATOR constant, or with `turned` constant OPERATOR tensor; returns the name of the result.

    shape : of the tensor, without the batch axis; operator : Add, Sub, Mul, Div by a constant, or Not: times the
    opposite of a mask
    """
    sizes = tuple(constant.meta["val"].shape)
    sizes = (1,) * (len(shape) + 1 - len(sizes)) + sizes
    if sizes[0] != 1 or len(sizes) != len(shape) + 1:
        raise ValueError(
            f"a constant of shape {sizes} must have an axis of size 1 in the batch's place, or none: view it as one of "
            f"{len(shape)} axes or fewer"
        )
    after = tuple(np.broadcast_shapes(shape, sizes[1:]))
    source = add_expanded(lowering, node, source, shape, after)
    varying = [axis for axis, size in enumerate(sizes) if size > 1]
    whole = [axis for axis in range(1, len(after) + 1) if axis not in varying]
    if varying == [1] and whole:
        weight, bias, unit = tensors(lowering, constant, operator, turned, len(whole), after[0])
        return add_depthwise(lowering, node, source, weight, bias, after[0], len(whole), unit)
    order = [0, *varying, *whole]
    front = tuple(after[axis - 1] for axis in order[1:])
    source = add_transpose(lowering, node, source, after, order)
    count = math.prod(front[: len(varying)])
    rows = (count, math.prod(front[len(varying) :]))
    source = add_reshape(lowering, node, source, front, rows)
    weight, bias, unit = tensors(lowering, constant, operator, turned, 1, count)
    source = add_depthwise(lowering, node, source, weight, bias, count, 1, unit)
    source = add_reshape(lowering, node, source, rows, front)
    back = [0, *(order.index(axis) for axis in range(1, len(order)))]
    return add_transpose(lowering, node, source, front, back)


def tensors(
    lowering: Lowering, constant: fx.Node, operator: str, turned: bool, axes: int, channels: int
) -> tuple[Computed, Computed | None, float | None]:
    """Weight, bias and the weights' unit of the depthwise convolution."""
    if operator in STEPS:
        weight = lowering.constants.computed(constant, *STEPS[operator], (per_channel, (axes,)))
        return weight, None, unit_of(lowering) if constant.meta["val"].dtype == torch.bool else None
    sign = -1.0 if operator == "Sub" and turned else 1.0
    step = [(torch.neg, ())] if operator == "Sub" and not turned else []
    bias = lowering.constants.computed(constant, *step, (flat, ()))
    return ones(channels, axes, sign), bias, unit_of(lowering)


def unit_of(lowering: Lowering) -> float:
    """The scale of a weight of 1 whose product with any code, and a bias of that size, leave the accumulator room."""
    arithmetic = lowering.arithmetic
    room = arithmetic.accumulator_bits - arithmetic.activation_bits - 3
    return 2.0 ** -max(min(UNIT_BITS, arithmetic.weight_bits - 2, room), 0)


def add_depthwise(
    lowering: Lowering,
    node: fx.Node,
    source: str,
    weight: str | Computed,
    bias: str | Computed | None,
    channels: int,
    axes: int,
    unit: float | None = None,
) -> str:
    """A depthwise convolution of maps (2 axes) or sequences (1 axis), without strides and padding; returns its name."""
    layer = Weighted(
        lowering.unique(node),
        source,
        arithmetic=lowering.arithmetic,
        settings=lowering.settings,
        weight=weight,
        bias=bias,
        channels=channels,
        geometry=Geometry(groups=channels),
        unit=unit,
    )
    return lowering.add(node, layer)
