"""Unary functions of one quantized tensor as a `LookupTable`: one operator, or an expression such as x · sigmoid(x)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from emulator.functions import FUNCTIONS
from emulator.graph import LookupTable, Tensor
from emulator.lookup import make_table

from .graph_builder import GraphBuilder
from .operator_node import Operator
from .values import Dequantized, Environment, Real, Source, Target, Value

Function = Callable[[float], float]


@dataclass(frozen=True, eq=False)
class FunctionSource(Source):
    """function(x) for every element of a quantized tensor."""

    operator: Operator
    x: Tensor
    function: Function

    def emit(self, builder: GraphBuilder, name: str, target: Target) -> Tensor:
        """Add the `LookupTable`."""
        arithmetic, x = builder.arithmetic, self.x
        y = (target.scale, target.zero_point, target.y_min, target.y_max)
        node = LookupTable(
            name=name,
            shape=x.shape,
            **vars(target),
            inputs=(x.name,),
            table=make_table(self.function, x.scale, x.zero_point, *y, arithmetic),
        )
        return builder.ordered_as(builder.add(node), x)


def lower_function(env: Environment, op: Operator) -> Value:
    """A unary operator directly behind a DequantizeLinear, a clamp or another unary operator of the same tensor."""
    x, inner = _unary(env.real(op, 0), env.builder)
    return Real(FunctionSource(op, x, _chained(unary_function(op), inner)))


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


def lower_divide(env: Environment, op: Operator) -> Value:
    """Div as a step of a unary function; a quotient of two tensors is refused."""
    function = combined(env, op)
    if function is None:
        raise ValueError("only the quotient of a quantized tensor and one number is supported")
    return function


def unary_function(op: Operator) -> Function:
    """The function that a unary ONNX operator stands for, on Python floats; ±inf and NaN as IEEE 754 gives them."""
    match op.type:
        case "Gelu":
            approximate = op.text("approximate", "none")
            if approximate not in ("none", "tanh"):
                raise ValueError(f"approximate must be 'none' or 'tanh', not {approximate!r}")
            return FUNCTIONS["gelu_tanh" if approximate == "tanh" else "gelu"]
        case "Elu":
            alpha = op.real("alpha", 1.0)
            return lambda x: x if x > 0 else alpha * math.expm1(x)
        case "Celu":
            alpha = op.real("alpha", 1.0)
            return lambda x: x if x > 0 else alpha * math.expm1(x / alpha)
        case "Selu":
            alpha, gamma = op.real("alpha", 1.6732632423543772), op.real("gamma", 1.0507009873554805)
            return lambda x: gamma * (x if x > 0 else alpha * math.expm1(x))
        case "LeakyRelu":
            alpha = op.real("alpha", 0.01)
            return lambda x: x if x >= 0 else alpha * x
        case "HardSigmoid":
            alpha, beta = op.real("alpha", 0.2), op.real("beta", 0.5)
            # An attribute is float32; the nearest one to 1/6 stands for 1/6, which torch divides by.
            if alpha == float(np.float32(1 / 6)) and beta == 0.5:
                return FUNCTIONS["hard_sigmoid"]
            return lambda x: max(0.0, min(1.0, alpha * x + beta))
        case _:
            return UNARY[op.type]


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
        x, inner = builder.operand(real if not real.clamps else Real(source, moves=real.moves)), _identity
    if not real.clamps:
        return x, inner
    return x, lambda v: min(max(inner(v), low), high)


def _chained(outer: Function, inner: Function) -> Function:
    return outer if inner is _identity else lambda v: outer(inner(v))


def _identity(x: float) -> float:
    return x


def _exp(x: float) -> float:
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf


def _log(x: float) -> float:
    return math.log(x) if x > 0 else -math.inf if x == 0 else math.nan


def _divide(a: float, b: float) -> float:
    if b:
        return a / b
    return math.nan if a == 0 or math.isnan(a) else math.copysign(math.inf, a) * math.copysign(1.0, b)


UNARY: dict[str, Function] = {
    "Abs": abs,
    "Atan": math.atan,
    "Ceil": lambda x: float(math.ceil(x)) if math.isfinite(x) else x,
    "Cos": lambda x: math.cos(x) if math.isfinite(x) else math.nan,
    "Erf": math.erf,
    "Exp": _exp,
    "Floor": lambda x: float(math.floor(x)) if math.isfinite(x) else x,
    "HardSwish": FUNCTIONS["hard_swish"],
    "Log": _log,
    "Mish": FUNCTIONS["mish"],
    "Neg": lambda x: -x,
    "Reciprocal": lambda x: _divide(1.0, x),
    "Sigmoid": FUNCTIONS["sigmoid"],
    "Sin": lambda x: math.sin(x) if math.isfinite(x) else math.nan,
    "Softplus": FUNCTIONS["softplus"],
    "Softsign": lambda x: x / (1 + abs(x)),
    "Sqrt": lambda x: math.sqrt(x) if x >= 0 else math.nan,
    "Tanh": math.tanh,
}
UNARY_OPERATORS = (*UNARY, "Celu", "Elu", "Gelu", "HardSigmoid", "LeakyRelu", "Selu")

BINARY: dict[str, Callable[[float, float], float]] = {
    "Add": lambda a, b: a + b,
    "Sub": lambda a, b: a - b,
    "Mul": lambda a, b: a * b,
    "Div": _divide,
}
