"""Concat: tensors one after the other, each brought to the scale and zero point of the result with one rounding."""

from __future__ import annotations

import numpy as np

from ....reading.constants import Constant, QuantizedConstant
from ....reading.moves.concat import ConcatSource
from ....reading.pointwise.constant_tensor import ConstantSource
from ....reading.values import Codes, Dequantized, Real, Value
from ...environment import Environment
from ...operator import Operator


def lower_concat(env: Environment, op: Operator) -> Value:
    """Concat of activations and constants along any axis but the batch's."""
    values = [env.value(name) for name in op.inputs]
    axis = op.integer("axis", 1)
    codes = [value for value in values if isinstance(value, Codes)]
    if len(codes) < len(values):
        parts = [inner for index in range(len(values)) for inner in _inner(_part(env, op, index), axis)]
        return Real(ConcatSource(op, tuple(parts), axis))
    source = ConcatSource(op, tuple(Real(Dequantized(value.tensor)) for value in codes), axis)
    target = source.exact()
    if target is None or len({value.type for value in codes}) > 1:
        raise ValueError("codes can be joined only where they have one type, scale and zero point")
    return Codes(source.emit(env.builder, env.builder.unique(op.label), target), codes[0].type)


def _inner(part: Real, axis: int) -> tuple[Real, ...]:
    """A part, or those of a Concat along the same axis that nothing has rounded."""
    source = part.source
    return source.parts if part.bare and isinstance(source, ConcatSource) and source.axis == axis else (part,)


def _part(env: Environment, op: Operator, index: int) -> Real:
    value = env.value(op.input(index))
    if not isinstance(value, Constant | QuantizedConstant):
        return env.real(op, index)
    values = value.values if isinstance(value, Constant) else value.real
    if values.ndim < 2 or values.shape[0] != 1 or not np.issubdtype(values.dtype, np.floating):
        raise ValueError(
            f"constant {op.input(index)!r} must be floats with a batch of 1, not {values.dtype} {values.shape}"
        )
    return Real(ConstantSource(op, values.astype(np.float32), values.ndim - 1))
