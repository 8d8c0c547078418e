"""Unary functions of one quantized tensor as a `LookupTable`: one operator, or an expression such as x · sigmoid(x)."""

from __future__ import annotations

from onnx import AttributeProto

from emulator.graph import Tensor
from emulator.onnx_functions import BINARY, Function, unary_function

from ...reading.function import FunctionSource
from ...reading.graph_builder import GraphBuilder
from ...reading.rounding import operand
from ...reading.values import Dequantized, Real, Value
from ..environment import Environment
from ..operator import Operator


def lower_function(env: Environment, op: Operator) -> Value:
    """A unary operator directly behind a DequantizeLinear, a clamp or another unary operator of the same tensor."""
    x, inner = _unary(env.real(op, 0), env.builder)
    return Real(FunctionSource(op, x, _chained(unary_function(op.type, _attributes(op)), inner)))


def combined(env: Environment, op: Operator) -> Real | None:
    """Add, Sub, Mul or Div as a step of a unary function: of one tensor twice, or of a tensor and one number.

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
        return Real(FunctionSource(op, x, lambda v: rule(f(v), g(v)))) if x is y else None
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
    return isinstance(real.source, FunctionSource | Dequantized) and not (
        isinstance(real.source, FunctionSource) and real.moves
    )


def _unary(real: Real, builder: GraphBuilder) -> tuple[Tensor, Function]:
    """The tensor that `real` is a function of, and that function."""
    low, high, source = real.low, real.high, real.source
    if isinstance(source, FunctionSource) and not real.moves:
        x, inner = source.x, source.function
    else:
        x, inner = operand(builder, real if not real.clamps else Real(source, moves=real.moves)), _identity
    if not real.clamps:
        return x, inner
    return x, lambda v: min(max(inner(v), low), high)


def _chained(outer: Function, inner: Function) -> Function:
    return outer if inner is _identity else lambda v: outer(inner(v))


def _identity(x: float) -> float:
    return x
