"""Codes for real numbers that a file does not round: what they cover, and how far that can move results behind them."""

from __future__ import annotations

import math

import numpy as np

from emulator.graph import (
    Add,
    AveragePool,
    Concat,
    Convolution,
    Linear,
    LookupTable,
    MaxPool,
    Node,
    Pad,
    Product,
    Rescale,
    Reshape,
    Slice,
    Tensor,
    Transpose,
)

from .channel_scaled import ChannelScaled
from .errors import located
from .graph_builder import GraphBuilder
from .origin import Origin
from .rounding import operand, rounded
from .values import Real, Target

MOST_ERROR = 2.0
"""The largest error of a result, in codes, that is accepted."""


def codes(builder: GraphBuilder, real: Real, op: Origin) -> Tensor:
    """The codes of `real`, or such that cover its range where nothing has rounded it and that is known."""
    if real.exact() is not None or isinstance(real.source, ChannelScaled):
        return operand(builder, real)
    return between(builder, real, real.range(), op, f"{op.label}/operand")


def between(builder: GraphBuilder, real: Real, bounds: tuple[float, float], op: Origin, name: str) -> Tensor:
    """`real` in codes that cover `bounds` and 0, for `op`, which needs codes; ``ValueError`` for infinite bounds."""
    low, high = builder.arithmetic.activation_range
    first, last = min(bounds[0], 0.0), max(bounds[1], 0.0)
    scale = np.float32((last - first) / (high - low)) if math.isfinite(last - first) else np.float32(0)
    if not (scale > 0 and np.isfinite(scale)):
        waiting = real.last or op
        raise ValueError(
            f"reads the unrounded result of {waiting}; a QuantizeLinear must stand between, so have the quantizer "
            f"round what {waiting.type} makes"
        )
    zero_point = min(max(round(low - first / float(scale)), low), high)
    tensor = rounded(builder, real, name, op, Target(float(scale), zero_point, low, high))
    builder.between.add(tensor.name)
    return tensor


def note_errors(builder: GraphBuilder) -> None:
    """State for every layer that reads such codes, through moves too, by how much they can move a result.

    Raises ``ValueError`` naming the layer where that is more than `MOST_ERROR` codes.
    """
    origin = {name: name for name in builder.between}
    tensors: dict[str, Tensor] = {node.name: node for node in builder.nodes} | builder.inputs
    for node in builder.nodes:
        read = [name for name in node.inputs if name in origin]
        if not read or node.name in origin:
            continue
        if isinstance(node, MaxPool | Reshape | Transpose | Concat | Slice | Pad):
            origin[node.name] = origin[read[0]]
            continue
        error = 0.5 * sum(_sensitivity(node, name, tensors) for name in read)
        with located(f"layer {node.name!r}"):
            if error > MOST_ERROR:
                raise ValueError(
                    f"reads what {origin[read[0]]!r} makes, which the file does not round: codes for it would move a "
                    f"result by up to {error:.3g} codes; let the quantizer put a QuantizeLinear between"
                )
        first = tensors[origin[read[0]]]
        builder.bias_errors[node.name] = builder.bias_errors.get(node.name, 0.0) + error
        builder.second_roundings[node.name] = {
            "layer": first.name,
            "scale": first.scale,
            "zero_point": first.zero_point,
            "error": error,
        }


def _sensitivity(node: Node, name: str, tensors: dict[str, Tensor]) -> float:
    """By how many codes a result can move where each code of input `name` moves by one."""
    match node:
        case Convolution() | Linear():
            weight = node.weight if isinstance(node, Convolution) else np.moveaxis(node.weight, -1, 0)
            zero = np.zeros(len(weight)) if node.weight_zero_point is None else node.weight_zero_point
            sums = np.abs(weight.reshape(len(weight), -1) - zero[:, None]).sum(axis=1)
            return float((sums * node.multiplier / 2.0**node.shift).max())
        case AveragePool():
            return float((math.prod(node.kernel) * node.multiplier / 2.0**node.shift).max())
        case Add():
            multipliers = node.a_multiplier, node.b_multiplier
            return sum(m for m, read in zip(multipliers, node.inputs, strict=True) if read == name) / 2.0**node.shift
        case Product():
            others = [tensors[read] for read in node.inputs if read != name] or [tensors[name]]
            reach = max(max(x.y_max - x.zero_point, x.zero_point - x.y_min) for x in others)
            return float(reach * node.multiplier / 2.0**node.shift)
        case Rescale():
            return float(node.multiplier / 2.0**node.shift)
        case LookupTable():
            return float(np.abs(np.diff(node.table.astype(np.int64))).max())
        case _:
            return math.inf
