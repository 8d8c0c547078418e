"""What activation functions become: clamps, and functions of one tensor."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import fx

from ...layers.activation import Activation
from ...layers.expression import Expression, X
from ..arguments import Arguments
from ..context import Lowering
from ..pseudo import Binary, Function
from ..registry import Handler, handles, register


@handles("clamp.default", "clip.default", "clamp_min.default", "clamp_max.default")
def clamp(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    add_clamp(lowering, node, a.self, getattr(a, "min", None), getattr(a, "max", None))


@handles("relu.default")
def relu(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    add_clamp(lowering, node, a.self, 0.0, None)


@handles("relu6.default")
def relu6(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    add_clamp(lowering, node, a.self, 0.0, 6.0)


@handles("hardtanh.default")
def hardtanh(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    add_clamp(lowering, node, a.self, a.min_val, a.max_val)


def add_clamp(lowering: Lowering, node: fx.Node, operand: object, low: Any, high: Any) -> None:
    bounds = [default if b is None else lowering.number(b) for b, default in ((low, -math.inf), (high, math.inf))]
    least, most = bounds
    if least is None or most is None:
        raise ValueError("its bounds must be numbers: use torch.maximum and torch.minimum with tensors")
    lowering.add(node, Activation(lowering.unique(node), lowering.source(operand), (min(least, most), most)))


def function(make: Callable[[Arguments], Expression]) -> Handler:
    """The handler of a function of one tensor; make : the operator's arguments → its expression."""

    def handler(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
        lowering.add(node, Function(lowering.unique(node), lowering.source(node.args[0]), make(a)))

    return handler


def unary(operator: str, **attributes: float | str) -> Expression:
    """One ONNX operator of X."""
    return Expression(operator, (X,), tuple(attributes.items()))


@handles("silu.default")
def silu(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    """x · sigmoid(x); where the arithmetic is TFLM's, which has no such function, a sigmoid and a product."""
    source = lowering.source(a.self)
    if not lowering.arithmetic.is_tflm:
        lowering.add(node, Function(lowering.unique(node), source, Expression("Mul", (X, unary("Sigmoid")))))
        return
    gate = lowering.add(node, Function(lowering.unique(node, "gate"), source, unary("Sigmoid")))
    lowering.add(node, Binary(lowering.unique(node), source, gate, "Mul"))


def elu(a: Arguments) -> Expression:
    if (a.scale, a.input_scale) != (1, 1):
        raise ValueError(
            f"scale and input_scale must be 1, not {a.scale} and {a.input_scale}: multiply before and behind"
        )
    return unary("Elu", alpha=float(a.alpha))


def softplus(a: Arguments) -> Expression:
    # Above its threshold torch leaves out a term, which at the default one is below 1e-9 of the result.
    if a.threshold < 20:
        raise ValueError(f"threshold must be at least 20, not {a.threshold}: leave it at its default")
    if a.beta == 1:
        return unary("Softplus")
    return Expression("Div", (unary("Softplus").of(times(X, float(a.beta))), float(a.beta)))


def threshold(least: float, value: float) -> Expression:
    """X above `least`, `value` elsewhere."""
    chosen = Expression("Mul", (Expression("Sub", (X, value)), above(X, least)))
    return Expression("Add", (chosen, value))


def times(x: Expression, number: float) -> Expression:
    return Expression("Mul", (x, number))


def above(x: Expression, y: Expression | float, *, also_equal: bool = False, below: bool = False) -> Expression:
    """1 where x > y, and 0 elsewhere; with `below` where x < y, with `also_equal` also where they are equal."""
    if also_equal:
        return Expression("Sub", (1.0, above(x, y, below=not below)))
    difference = Expression("Sub", (y, x) if below else (x, y))
    return unary("Ceil").of(Expression("Clip", (X, 0.0, 1.0)).of(difference))


HALF_SIXTH = {"alpha": 1 / 6, "beta": 0.5}
FUNCTIONS: dict[str, Callable[[Arguments], Expression]] = {
    "abs": lambda a: unary("Abs"),
    "atan": lambda a: unary("Atan"),
    "ceil": lambda a: unary("Ceil"),
    "celu": lambda a: unary("Celu", alpha=float(a.alpha)),
    "cos": lambda a: unary("Cos"),
    "elu": elu,
    "erf": lambda a: unary("Erf"),
    "exp": lambda a: unary("Exp"),
    "expm1": lambda a: Expression("Sub", (unary("Exp"), 1.0)),
    "floor": lambda a: unary("Floor"),
    "gelu": lambda a: unary("Gelu", approximate=a.approximate),
    "hardshrink": lambda a: Expression(
        "Mul", (X, Expression("Add", (above(X, float(a.lambd)), above(X, -float(a.lambd), below=True))))
    ),
    "hardsigmoid": lambda a: unary("HardSigmoid", **HALF_SIXTH),
    "hardswish": lambda a: unary("HardSwish"),
    "leaky_relu": lambda a: unary("LeakyRelu", alpha=float(a.negative_slope)),
    "log": lambda a: unary("Log"),
    "log1p": lambda a: unary("Log").of(Expression("Add", (X, 1.0))),
    "log_sigmoid": lambda a: unary("Neg").of(unary("Softplus").of(unary("Neg"))),
    "mish": lambda a: unary("Mish"),
    "neg": lambda a: unary("Neg"),
    "reciprocal": lambda a: unary("Reciprocal"),
    "rsqrt": lambda a: unary("Reciprocal").of(unary("Sqrt")),
    "selu": lambda a: unary("Selu"),
    "sign": lambda a: Expression("Sub", (above(X, 0.0), above(X, 0.0, below=True))),
    "sigmoid": lambda a: unary("Sigmoid"),
    "sin": lambda a: unary("Sin"),
    "softplus": softplus,
    "softshrink": lambda a: Expression("Sub", (X, Expression("Clip", (X, -float(a.lambd), float(a.lambd))))),
    "softsign": lambda a: Expression("Div", (X, Expression("Add", (unary("Abs"), 1.0)))),
    "sqrt": lambda a: unary("Sqrt"),
    "tanh": lambda a: unary("Tanh"),
    "threshold": lambda a: threshold(float(a.threshold), float(a.value)),
}


for name, make in FUNCTIONS.items():
    register(f"{name}.default", handler=function(make))
