"""Pools: MaxPool and GlobalMaxPool move codes; AveragePool, GlobalAveragePool and ReduceMean sum and round."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emulator.graph import AveragePool, MaxPool, Tensor, logical_shape, map_size
from emulator.multiplier import quantize_multiplier

from .graph_builder import GraphBuilder
from .operator_node import Operator
from .rearrange import kept, reshaped
from .values import Environment, Move, Real, Source, Target, Value
from .windows import WindowGeometry, spatial_axes, window_geometry

MAX_POSITIONS = 1 << 22  # of an average pool's result, each of which has a multiplier


@dataclass(frozen=True, eq=False)
class AveragePoolSource(Source):
    """A window sum of codes divided by `counts`, (out height, out width) positions."""

    operator: Operator
    x: Tensor
    geometry: WindowGeometry
    counts: NDArray[np.int64]

    def emit(self, builder: GraphBuilder, name: str, target: Target) -> Tensor:
        """Add the `AveragePool`, with a multiplier per output position."""
        divisors, position = np.unique(self.counts, return_inverse=True)
        scale = np.float64(self.x.scale) / (np.float64(target.scale) * divisors)
        multiplier, shift = (part[position] for part in quantize_multiplier(scale, builder.arithmetic))
        return builder.add(
            AveragePool(
                name=name,
                shape=_shape(self.x, self.geometry),
                **vars(target),
                inputs=(self.x.name,),
                kernel=self.geometry.kernel,
                strides=self.geometry.strides,
                padding=self.geometry.padding,
                dilations=self.geometry.dilations,
                multiplier=multiplier,
                shift=shift,
            )
        )


def lower_max_pool(env: Environment, op: Operator) -> Value:
    """MaxPool without its second output, the indices."""
    op.only("storage_order", 0, "only row major is supported")
    if len(op.outputs) > 1 and op.outputs[1]:
        raise ValueError(f"the output of indices, {op.outputs[1]!r}, is not supported")

    def apply(builder: GraphBuilder, x: Tensor, name: str) -> Tensor:
        return _max_pool(builder, x, name, window_geometry(op, x, op.integers("kernel_shape") or ()))

    return env.moved(op, apply)


def lower_global_max_pool(env: Environment, op: Operator) -> Value:
    """GlobalMaxPool: the window is the whole map."""

    def apply(builder: GraphBuilder, x: Tensor, name: str) -> Tensor:
        return _max_pool(builder, x, name, _whole(x, range(2, len(x.shape) + 1)))

    return env.moved(op, apply)


def lower_average_pool(env: Environment, op: Operator) -> Value:
    """AveragePool; where padding is not counted, each position divides by its own number of positions on the map."""
    x = env.operand(op, 0)
    geometry = window_geometry(op, x, op.integers("kernel_shape") or ())
    geometry.check_covered()
    return _average(env, op, x, geometry, bool(op.integer("count_include_pad", 0)))


def lower_global_average_pool(env: Environment, op: Operator) -> Value:
    """GlobalAveragePool: the window is the whole map."""
    x = env.operand(op, 0)
    return _average(env, op, x, _whole(x, range(2, len(x.shape) + 1)))


def lower_reduce_mean(env: Environment, op: Operator) -> Value:
    """ReduceMean over height, width or both, or a length: an average pool; keepdims = 0 drops the axes behind it."""
    x, axes = env.operand(op, 0), env.integers(op, 1, "axes")
    rank = len(x.shape) + 1
    if not axes or not all(-rank <= axis < rank and axis % rank > 1 for axis in axes):
        raise ValueError(f"only the mean over axes behind batch and channels is supported, not axes {axes}")
    places = {axis % rank for axis in axes}
    mean = _average(env, op, x, _whole(x, places))
    if op.integer("keepdims", 1):
        return mean
    shape = tuple(size for axis, size in enumerate(logical_shape(x.shape), 1) if axis not in places)
    return mean.moved(Move(op, lambda builder, tensor, name: reshaped(builder, tensor, shape, name)))


def _max_pool(builder: GraphBuilder, x: Tensor, name: str, geometry: WindowGeometry) -> Tensor:
    geometry.check_covered()
    return builder.add(
        MaxPool(
            name=name,
            shape=_shape(x, geometry),
            **kept(x),
            kernel=geometry.kernel,
            strides=geometry.strides,
            padding=geometry.padding,
            dilations=geometry.dilations,
        )
    )


def _average(env: Environment, op: Operator, x: Tensor, geometry: WindowGeometry, padded: bool = False) -> Real:
    arithmetic = env.builder.arithmetic
    low, high = arithmetic.activation_range
    area = geometry.kernel[0] * geometry.kernel[1]
    half = 1 << (arithmetic.operand_bits - 1)
    if area * (high - x.zero_point) > half - 1 or area * (x.zero_point - low) > half:
        rows, columns = geometry.kernel
        raise ValueError(f"a window of {rows}×{columns} can overflow the sum's {arithmetic.operand_bits} bits")
    if geometry.output[0] * geometry.output[1] > MAX_POSITIONS:
        raise ValueError(f"the result must have at most 2^22 positions, not {geometry.output}")
    return Real(AveragePoolSource(op, x, geometry, geometry.counts(padded)))


def _shape(x: Tensor, geometry: WindowGeometry) -> tuple[int, ...]:
    return (*geometry.output, x.shape[-1])[-len(x.shape) :]


def _whole(x: Tensor, axes: Collection[int]) -> WindowGeometry:
    """A window that covers these logical axes of a map or a sequence, and is one position wide along the other."""
    last, size = spatial_axes(x) + 1, map_size(x)
    kernel = size[0] if 2 in axes else 1, size[1] if last in axes else 1
    output = size[0] // kernel[0], size[1] // kernel[1]
    return WindowGeometry(size, kernel, (1, 1), (0, 0, 0, 0), (0, 0, 0, 0), (1, 1), output)
