"""Scores of attention: codes, or codes that are multiplied with a positive number in front of anything that rounds."""

from __future__ import annotations

from emulator.graph import Tensor
from emulator.onnx_functions import Function

from ....reading.graph_builder import GraphBuilder
from ....reading.pointwise.function import FunctionSource
from ....reading.rounding import operand
from ....reading.values import Real


def scaled(builder: GraphBuilder, real: Real) -> tuple[Tensor, float]:
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
