"""Pools: MaxPool and GlobalMaxPool move codes; AveragePool, GlobalAveragePool and ReduceMean sum and round."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.graph import AveragePool, MaxPool, Tensor
from emulator.multiplier import quantize_multiplier

from .graph_builder import GraphBuilder
from .lower_reshape import reshaped
from .operator_node import Operator
from .values import Environment, Move, Real, Source, Target, Value
from .windows import WindowGeometry, pool_kernel, window_geometry

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
                shape=(*self.geometry.output, self.x.shape[2]),
                **vars(target),
                inputs=(self.x.name,),
                kernel=self.geometry.kernel,
                strides=self.geometry.strides,
                padding=self.geometry.padding,
                multiplier=multiplier,
                shift=shift,
            )
        )


def lower_max_pool(env: Environment, op: Operator) -> Value:
    """MaxPool without its second output, the indices."""
    op.only("storage_order", 0, "only row major is supported")
    if len(op.outputs) > 1 and op.outputs[1]:
        raise ValueError(f"the output of indices, {op.outputs[1]!r}, is not supported")
    kernel = pool_kernel(op)

    def apply(builder: GraphBuilder, x: Tensor, name: str) -> Tensor:
        return _max_pool(builder, x, name, window_geometry(op, _size(x), kernel))

    return env.moved(op, apply)


def lower_global_max_pool(env: Environment, op: Operator) -> Value:
    """GlobalMaxPool: the window is the whole map."""

    def apply(builder: GraphBuilder, x: Tensor, name: str) -> Tensor:
        return _max_pool(builder, x, name, _whole_map(_size(x)))

    return env.moved(op, apply)


def lower_average_pool(env: Environment, op: Operator) -> Value:
    """AveragePool; where padding is not counted, each position divides by its own number of positions on the map."""
    x = env.operand(op, 0)
    geometry = window_geometry(op, _size(x), pool_kernel(op))
    if geometry.dilations != (1, 1):
        raise ValueError(f"dilations must be (1, 1), not {geometry.dilations}")
    geometry.check_covered()
    return _average(env, op, x, geometry, bool(op.integer("count_include_pad", 0)))


def lower_global_average_pool(env: Environment, op: Operator) -> Value:
    """GlobalAveragePool: the window is the whole map."""
    x = env.operand(op, 0)
    return _average(env, op, x, _whole_map(_size(x)))


def lower_reduce_mean(env: Environment, op: Operator) -> Value:
    """ReduceMean over height and width, an average pool of the whole map; keepdims = 0 flattens behind it."""
    x = env.operand(op, 0)
    size = _size(x)
    axes: Any = op.integers("axes")
    if op.input(1):
        constant = env.plain(op, 1, "axes")
        axes = None if constant is None else tuple(int(v) for v in constant.values.reshape(-1))
    if axes is None or sorted(axis % 4 if -4 <= axis < 4 else axis for axis in axes) != [2, 3]:
        raise ValueError(f"only the mean over height and width (axes 2 and 3) is supported, not axes {axes}")
    mean = _average(env, op, x, _whole_map(size))
    if op.integer("keepdims", 1):
        return mean
    return mean.moved(Move(op, lambda builder, tensor, name: reshaped(builder, tensor, (tensor.shape[2],), name)))


def _max_pool(builder: GraphBuilder, x: Tensor, name: str, geometry: WindowGeometry) -> Tensor:
    geometry.check_covered()
    return builder.add(
        MaxPool(
            name=name,
            shape=(*geometry.output, x.shape[2]),
            scale=x.scale,
            zero_point=x.zero_point,
            y_min=x.y_min,
            y_max=x.y_max,
            inputs=(x.name,),
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


def _size(x: Tensor) -> tuple[int, int]:
    if len(x.shape) != 3:
        raise ValueError("only 2-D pools are supported; the input must be (batch, channels, height, width)")
    return x.shape[0], x.shape[1]


def _whole_map(size: tuple[int, int]) -> WindowGeometry:
    return WindowGeometry(size, size, (1, 1), (0, 0, 0, 0), (0, 0, 0, 0), (1, 1), (1, 1))
