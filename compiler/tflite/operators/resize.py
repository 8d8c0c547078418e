"""RESIZE_NEAREST_NEIGHBOR: a choice of rows and columns."""

from __future__ import annotations

import numpy as np

from ..environment import Environment
from ..moves import gathered
from ..operator import Operator
from .move import check_same_scale

OPTIONS = "ResizeNearestNeighborOptions"


def lower_resize_nearest(env: Environment, op: Operator) -> None:
    """Row i is row ⌊i · float32(in / out)⌋ of the input, with the options' offsets and rounding."""
    x = env.map_operand(op, 0)
    check_same_scale(env, op, x)
    size = env.integers(op, 1)
    if len(size) != 2 or not all(1 <= length <= 1 << 16 for length in size):
        raise ValueError(f"size must be two integers from 1 to 65536, not {size}")
    align, half = bool(op.option(OPTIONS, "AlignCorners")), bool(op.option(OPTIONS, "HalfPixelCenters"))
    wanted = [axis for axis in range(2) if size[axis] != x.shape[axis]]
    for axis in wanted:
        env.take("pieces that tensors are taken to", size[axis])
        places = nearest(x.shape[axis], size[axis], align, half)
        x = gathered(env.builder, x, axis, places, env.label(op, "" if axis == wanted[-1] else "rows"))
    env.put(op, x)


def nearest(size: int, output: int, align_corners: bool, half_pixel_centers: bool) -> list[int]:
    """The input's index for every index of the output, in float32 as TFLite computes it."""
    corners = align_corners and output > 1
    scale = np.float32(size - 1) / np.float32(output - 1) if corners else np.float32(size) / np.float32(output)
    position = np.arange(output, dtype=np.float32)
    if half_pixel_centers:
        position = position + np.float32(0.5)
    value = position * scale
    index = np.floor(np.abs(value) + np.float32(0.5)) if align_corners else np.floor(value)
    return [int(i) for i in np.clip(index, 0, size - 1)]
