"""Concat: tensors one after the other, each brought to the scale and zero point of the result with one rounding."""

from __future__ import annotations

from ...reading.concat import ConcatSource
from ...reading.values import Codes, Dequantized, Real, Value
from ..environment import Environment
from ..operator import Operator


def lower_concat(env: Environment, op: Operator) -> Value:
    """Concat of activations along any axis but the batch's."""
    values = [env.value(name) for name in op.inputs]
    axis = op.integer("axis", 1)
    codes = [value for value in values if isinstance(value, Codes)]
    if len(codes) < len(values):
        return Real(ConcatSource(op, tuple(env.real(op, index) for index in range(len(values))), axis))
    source = ConcatSource(op, tuple(Real(Dequantized(value.tensor)) for value in codes), axis)
    target = source.exact()
    if target is None or len({value.type for value in codes}) > 1:
        raise ValueError("codes can be joined only where they have one type, scale and zero point")
    return Codes(source.emit(env.builder, env.builder.unique(op.label), target), codes[0].type)
