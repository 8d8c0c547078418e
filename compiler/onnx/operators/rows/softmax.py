"""Softmax of quantized scores, multiplied with a positive number or not, with a constant mask or without."""

from __future__ import annotations

from dataclasses import replace

from emulator.graph import Tensor, logical_shape
from emulator.onnx_functions import Function

from ....reading.graph_builder import GraphBuilder
from ....reading.moves.rearrange import checked_axis
from ....reading.pointwise.function import FunctionSource
from ....reading.rounding import operand
from ....reading.rows.softmax import SoftmaxSource
from ....reading.values import Real, Value
from ...environment import Environment
from ...operator import Operator
from .mask import MaskedSource

SINCE = 13
"""The operator set from which on a softmax is that of one axis; before, of all axes from it on."""


def lower_softmax(env: Environment, op: Operator) -> Value:
    """Softmax along any axis but the batch's."""
    real = env.real(op, 0)
    masked = real.source if real.bare and isinstance(real.source, MaskedSource) else None
    if masked is not None:
        real = masked.scores
    x, beta = _scores(env.builder, real)
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


def _scores(builder: GraphBuilder, real: Real) -> tuple[Tensor, float]:
    """(codes, beta) with scores = beta · their real numbers."""
    source = real.source
    if real.bare and isinstance(source, FunctionSource) and isinstance(source.x, Tensor):
        beta = _factor(source.function, source.x)
        if beta is not None:
            return source.x, beta
    return operand(builder, real), 1.0


def _factor(function: Function, x: Tensor) -> float | None:
    """The positive number with which a function multiplies all that `x` can hold, None where it does not."""
    reals = [x.scale * (code - x.zero_point) for code in range(x.y_min, x.y_max + 1)]
    factor = float(function(1.0))
    if not 0 < factor < float("inf"):
        return None
    return factor if all(abs(function(v) - factor * v) <= 2.0**-50 * abs(factor * v) for v in reals) else None
