"""Softmax of quantized scores, multiplied with a positive number or not, with a constant mask or without."""

from __future__ import annotations

from dataclasses import replace

from emulator.graph import logical_shape

from ....reading.moves.rearrange import checked_axis
from ....reading.rows.softmax import SoftmaxSource
from ....reading.values import Real, Value
from ...environment import Environment
from ...operator import Operator
from .mask import MaskedSource
from .scaled import scaled

SINCE = 13
"""The operator set from which on a softmax is that of one axis; before, of all axes from it on."""


def lower_softmax(env: Environment, op: Operator) -> Value:
    """Softmax along any axis but the batch's."""
    real = env.real(op, 0)
    masked = real.source if real.bare and isinstance(real.source, MaskedSource) else None
    if masked is not None:
        real = masked.scores
    x, beta = scaled(env.builder, real)
    rank = len(x.shape) + 1
    flat = op.integer("opset", env.opset) < SINCE
    axis = checked_axis(op.integer("axis", 1 if flat else -1), rank)
    if flat and any(size > 1 for size in logical_shape(x.shape)[axis:]):
        raise ValueError(
            f"axis must be the last one, {rank - 1}, not {axis}, as a softmax before operator set {SINCE} is "
            "one of all axes from there on"
        )
    source = SoftmaxSource(op, x, axis, beta)
    return Real(source if masked is None else replace(source, mask=masked.mask))
