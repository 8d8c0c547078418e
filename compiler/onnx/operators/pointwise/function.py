"""Unary functions of one quantized tensor as a `LookupTable`: one operator, or an expression such as x · sigmoid(x)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from onnx import AttributeProto

from emulator.graph import Tensor, logical_shape
from emulator.onnx_functions import BINARY, Function, unary_function

from ....reading.graph_builder import GraphBuilder
from ....reading.moves.rearrange import in_logical_order
from ....reading.pointwise.elementwise import AddSource, ProductSource
from ....reading.pointwise.function import FunctionSource
from ....reading.pointwise.leaky import LeakySource
from ....reading.pools.pool import AveragePoolSource
from ....reading.products.weighted import WeightedSource
from ....reading.rounding import operand
from ....reading.values import Dequantized, Real, Source, Value
from ...environment import Environment
from ...operator import Operator
from ..distribute import distributed
from .axes import check_axes


def lower_function(env: Environment, op: Operator) -> Value:
    """A unary operator of a quantized tensor, of another function of one, or of a layer's sums.

    Of sums LeakyRelu and HardSigmoid are exact; any other function is a table of sums that are rounded for it.
    """
    joined = distributed(env, op, 0, lambda part, _: _of(env, op, part), any_axis=True)
    return joined or _of(env, op, env.real(op, 0))


def _of(env: Environment, op: Operator, real: Real) -> Real:
    if real.bare and isinstance(real.source, WeightedSource):
        if op.type == "LeakyRelu":
            slopes = np.full(real.source.weights.channels, op.real("alpha", float(np.float32(0.01))), np.float64)
            return Real(LeakySource(op, real.source, slopes))
        if op.type == "HardSigmoid":
            alpha, beta = op.real("alpha", float(np.float32(0.2))), op.real("beta", 0.5)
            alpha = 1 / 6 if alpha == float(np.float32(1 / 6)) and beta == 0.5 else alpha
            return replace(real, source=real.source.with_affine(alpha, beta)).clamped(op, 0.0, 1.0)
    x, inner = _unary(real, env.builder)
    return Real(FunctionSource(op, x, _chained(unary_function(op.type, _attributes(op)), inner)))


def lower_power(env: Environment, op: Operator) -> Value:
    """Pow of a quantized tensor and one number."""
    check_axes(env, op)
    function = combined(env, op)
    if function is None:
        raise ValueError("only powers of a quantized tensor and one number are supported")
    return function


def lower_prelu(env: Environment, op: Operator) -> Value:
    """PRelu with one slope, a table; with one per channel, two layers whose codes are put together."""
    real, slopes = env.real(op, 0), env.reals(op, 1, "slope")
    if real.bare and isinstance(real.source, WeightedSource):
        return Real(LeakySource(op, real.source, real.source.channel_values(slopes)))
    if slopes.size == 1 and _is_unary(real):
        slope = float(slopes.reshape(()))
        x, inner = _unary(real, env.builder)
        return Real(FunctionSource(op, x, _chained(lambda v: v if v >= 0 else slope * v, inner)))
    x = env.operand(op, 0)
    shape = logical_shape(x.shape)
    if slopes.ndim == len(shape) + 1 and slopes.shape[0] == 1:
        slopes = slopes[0]
    if slopes.ndim > len(shape) or any(n not in (1, m) for n, m in zip(slopes.shape[::-1], shape[::-1], strict=False)):
        raise ValueError(f"slope must broadcast to {shape} (without the batch), not have the shape {slopes.shape}")
    return Real(LeakySource(op, in_logical_order(env.builder, x), slopes))


def combined(env: Environment, op: Operator) -> Real | None:
    """Add, Sub, Mul, Div or Pow as a step of a unary function: of one tensor twice, or of a tensor and one number.

    None where it is not: two different tensors, a constant with several elements, or two plain tensors.
    """
    a, b = env.value(op.input(0)), env.value(op.input(1))
    rule = BINARY[op.type]
    if isinstance(a, Real) and isinstance(b, Real):
        if a.bare and b.bare and isinstance(a.source, Dequantized) and isinstance(b.source, Dequantized):
            return None
        if not (_is_unary(a) and _is_unary(b)):
            return None
        (x, f), (y, g) = _unary(a, env.builder), _unary(b, env.builder)
        return Real(FunctionSource(op, x, lambda v: rule(f(v), g(v)))) if _same(x, y) else None
    for value, other in ((a, 1), (b, 0)):
        if isinstance(value, Real) and _is_unary(value):
            number = env.scalar(op, other)
            return None if number is None else _with_number(env, op, value, float(number), other == 0)
    return None


def _with_number(env: Environment, op: Operator, real: Real, number: float, first: bool) -> Real:
    rule = BINARY[op.type]
    x, f = _unary(real, env.builder)
    if first:
        return Real(FunctionSource(op, x, lambda v: rule(number, f(v))))
    return Real(FunctionSource(op, x, lambda v: rule(f(v), number)))


def _attributes(op: Operator) -> dict[str, float | str]:
    return {
        name: op.text(name, "") if attribute.type == AttributeProto.STRING else op.real(name, 0.0)
        for name, attribute in op.attributes.items()
    }


def _is_unary(real: Real) -> bool:
    if isinstance(real.source, WeightedSource):
        return _is_sums(real) and _uniform(real.source) is not None
    return isinstance(real.source, Dequantized) or (
        not real.moves and (isinstance(real.source, FunctionSource) or _is_sums(real))
    )


def _is_sums(real: Real) -> bool:
    """Whether it is what a layer computes before anything is rounded or moved."""
    return isinstance(real.source, WeightedSource | AddSource | ProductSource | AveragePoolSource) and not real.moves


def _unary(real: Real, builder: GraphBuilder) -> tuple[Tensor | Source, Function]:
    """The tensor, or the sums, that `real` is a function of, and that function."""
    low, high, source = real.low, real.high, real.source
    x: Tensor | Source
    inner: Function = _identity
    if isinstance(source, FunctionSource) and not real.moves:
        x, inner = source.x, source.function
    elif isinstance(source, Dequantized) or not _is_sums(real):
        x = operand(builder, real if not real.clamps else Real(source, moves=real.moves))
    elif isinstance(source, WeightedSource):
        uniform = _uniform(source)
        if uniform is None or source.affine is None:
            x = source
        else:
            (gain, offset), x = uniform, replace(source, affine=None)
            inner = _line(gain, offset)
    else:
        x = source
    if not real.clamps:
        return x, inner
    return x, lambda v: min(max(inner(v), low), high)


def _uniform(source: WeightedSource) -> tuple[float, float] | None:
    """Gain and offset that are the same for all channels."""
    if source.affine is None:
        return 1.0, 0.0
    gain, offset = source.affine.gain, source.affine.offset
    same = (gain == gain[0]).all() and (offset == offset[0]).all()
    return (float(gain[0]), float(offset[0])) if same else None


def _same(x: Tensor | Source, y: Tensor | Source) -> bool:
    """Whether both are one tensor, or the sums of one layer."""
    if isinstance(x, WeightedSource) and isinstance(y, WeightedSource):
        return x.x is y.x and x.weights is y.weights and x.bias is y.bias and x.affine is y.affine
    return x is y


def _line(gain: float, offset: float) -> Function:
    return lambda x: gain * x + offset


def _chained(outer: Function, inner: Function) -> Function:
    return outer if inner is _identity else lambda v: outer(inner(v))


def _identity(x: float) -> float:
    return x
