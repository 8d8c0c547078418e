"""Constant operands as tensors of the graph: a product with weights of 0, whose bias is the codes."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from emulator.graph import Linear, Reshape, Slice, Tensor
from emulator.multiplier import quantize_multiplier

from ..reading.graph_builder import GraphBuilder
from .moves import relabelled


def constant_tensor(
    builder: GraphBuilder, anchor: Tensor, codes: NDArray[np.int8], scale: float, zero_point: int, name: str
) -> Tensor:
    """A layer whose result is always `codes`, whatever the tensor `anchor` holds, one element of which it reads."""
    flat = builder.add(
        Reshape(
            name=builder.unique(f"{name}/anchor"),
            shape=(math.prod(anchor.shape),),
            scale=anchor.scale,
            zero_point=anchor.zero_point,
            y_min=anchor.y_min,
            y_max=anchor.y_max,
            inputs=(anchor.name,),
        )
    )
    first = builder.add(
        Slice(
            name=builder.unique(f"{name}/element"),
            shape=(1,),
            scale=anchor.scale,
            zero_point=anchor.zero_point,
            y_min=anchor.y_min,
            y_max=anchor.y_max,
            inputs=(flat.name,),
            axis=1,
            start=0,
            stop=1,
        )
    )
    multiplier, shift = quantize_multiplier(1.0, builder.arithmetic)
    made = builder.add(
        Linear(
            name=builder.unique(f"{name}/codes"),
            shape=(codes.size,),
            scale=scale,
            zero_point=0,
            y_min=builder.arithmetic.activation_range[0],
            y_max=builder.arithmetic.activation_range[1],
            inputs=(first.name,),
            weight=np.zeros((1, codes.size), np.int8),
            bias=codes.reshape(-1).astype(np.int64),
            multiplier=np.full(codes.size, multiplier, np.int64),
            shift=np.full(codes.size, shift, np.int64),
        )
    )
    return relabelled(builder, made, name, codes.shape, scale, zero_point)
