"""Add, Sub, Mul and Div: of two quantized tensors, of a tensor and constants, and behind a layer's sums."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from emulator.graph import Tensor, logical_shape

from ....reading.constants import Constant, QuantizedConstant
from ....reading.moves.rearrange import in_logical_order
from ....reading.pointwise.constant_tensor import constant_tensor
from ....reading.pointwise.elementwise import AddSource, ProductSource
from ....reading.pools.pool import AveragePoolSource
from ....reading.products.affine import affine
from ....reading.products.matrix_product import MatrixProductSource
from ....reading.products.weighted import WeightedSource
from ....reading.values import Real, Value
from ...environment import Environment
from ...operator import Operator
from ..rows.mask import adds_to_scaled, lower_mask, reads_mask
from .axes import check_axes
from .function import combined


def lower_elementwise(env: Environment, op: Operator) -> Value:
    """A bias or a factor behind sums, a step of a unary function, or a layer of tensors; axes of size 1 broadcast."""
    check_axes(env, op)
    if op.type == "Add" and (reads_mask(env, op) or adds_to_scaled(env, op)):
        return lower_mask(env, op)
    behind = _behind_sums(env, op) or _behind_mean(env, op)
    if behind is not None:
        return behind
    function = combined(env, op)
    if function is not None:
        return function
    if op.type == "Div" and not isinstance(env.value(op.input(1)), Constant | QuantizedConstant):
        raise ValueError("only a quotient by constants, or of one tensor with itself or numbers, is supported")
    for index in (0, 1):
        value = env.value(op.input(index))
        if isinstance(value, Constant | QuantizedConstant):
            return _with_constant(env, op, env.operand(op, 1 - index), value, index)
    return _of_two(env, op, env.operand(op, 0), env.operand(op, 1))


def _behind_sums(env: Environment, op: Operator) -> Real | None:
    """What is added to or multiplied with each channel of a layer's sums before anything rounds them."""
    for index in (0, 1):
        layer, constant = env.value(op.input(index)), env.value(op.input(1 - index))
        if (
            not isinstance(layer, Real)
            or not _keeps_rows(layer)
            or not isinstance(constant, Constant | QuantizedConstant)
        ):
            continue
        source = layer.source
        if not isinstance(source, WeightedSource) or (op.type == "Div" and index == 1):
            continue
        if op.type == "Add" and env.scalar(op, 1 - index) is None:
            return replace(layer, source=source.with_bias(constant))
        values = source.channel_values(constant.values if isinstance(constant, Constant) else constant.real)
        if op.type in ("Add", "Sub"):
            gain, offset = (1.0, values) if op.type == "Add" else (-1.0, values) if index == 1 else (1.0, -values)
            return replace(layer, source=source.with_affine(gain, offset))
        if op.type == "Div" and not values.all():
            raise ValueError("the divisor must not be 0")
        return replace(layer, source=source.with_affine(1 / values if op.type == "Div" else values, 0.0))
    return None


def _keeps_rows(layer: Real) -> bool:
    """Whether the channels of a layer's sums lie where its source has them."""
    return not layer.clamps and all(move.rows for move in layer.moves)


def _behind_mean(env: Environment, op: Operator) -> Real | None:
    """A mean, or a product of two activations, that is multiplied with one positive number, which commutes with moves:
    a part of its multipliers.
    """
    for index in (0, 1):
        mean, number = env.value(op.input(index)), env.scalar(op, 1 - index)
        if not isinstance(mean, Real) or number is None or mean.clamps:
            continue
        if any(move.fill is not None for move in mean.moves):
            continue
        scales = op.type == "Mul" or (op.type == "Div" and index == 0)
        if scales and isinstance(mean.source, AveragePoolSource | MatrixProductSource):
            factor = 1 / number if op.type == "Div" and number else float(number)
            if factor > 0 and math.isfinite(factor):
                return replace(mean, source=replace(mean.source, factor=mean.source.factor * factor))
    return None


def _with_constant(env: Environment, op: Operator, x: Tensor, value: Constant | QuantizedConstant, index: int) -> Real:
    """A tensor and constants, which are input `index`: codes are an operand in memory, floats an affine map."""
    if isinstance(value, QuantizedConstant) and not value.scale.ndim and op.type != "Div":
        other = constant_tensor(env.builder, value, in_logical_order(env.builder, x), f"{op.label}/constant")
        operands = (other, x) if index == 0 else (x, other)
        return _of_two(env, op, *operands)
    shape, values = logical_shape(x.shape), value.values if isinstance(value, Constant) else value.real
    values = values.astype(np.float64)
    if values.ndim == len(shape) + 1 and values.shape[0] == 1:
        values = values[0]
    behind = shape[len(shape) - min(values.ndim, len(shape)) :]
    if values.ndim > len(shape) or any(n not in (1, m) for n, m in zip(values.shape, behind, strict=True)):
        raise ValueError(f"constants must broadcast to {shape} (without the batch), not have the shape {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError("constants must be finite")
    ones = np.ones(1)
    if op.type == "Div":
        if not values.all():
            raise ValueError("the divisor must not be 0")
        return affine(env.builder, op, x, 1 / values, 0 * ones)
    if op.type == "Mul":
        return affine(env.builder, op, x, values, 0 * ones)
    sign = -1.0 if op.type == "Sub" else 1.0
    gain, offset = (ones, sign * values) if index == 1 else (sign * ones, values)
    return affine(env.builder, op, x, gain, offset)


def _of_two(env: Environment, op: Operator, x: Tensor, y: Tensor) -> Real:
    if len(x.shape) != len(y.shape) or any(m != n and 1 not in (m, n) for m, n in zip(x.shape, y.shape, strict=True)):
        raise ValueError(
            f"the inputs must have one shape, or size 1 along an axis where they differ, "
            f"not {logical_shape(x.shape)} and {logical_shape(y.shape)} (without the batch)"
        )
    if env.builder.orders.get(x.name) != env.builder.orders.get(y.name):
        x, y = in_logical_order(env.builder, x), in_logical_order(env.builder, y)
    return Real(ProductSource(op, x, y) if op.type == "Mul" else AddSource(op, x, y, op.type == "Sub"))
