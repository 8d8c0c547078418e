"""What sums, differences, products and quotients become: layers of two tensors, or functions of one and a number."""

from __future__ import annotations

from torch import fx

from ...layers.expression import Expression, X
from ..arguments import Arguments
from ..context import Lowering
from ..pseudo import Binary, Function
from ..registry import handles


@handles("add.Tensor", "add.Scalar")
def add(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    add_scaled(lowering, node, a.self, a.other, a.alpha, "Add")


@handles("sub.Tensor", "sub.Scalar")
def subtract(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    add_scaled(lowering, node, a.self, a.other, a.alpha, "Sub")


@handles("rsub.Scalar", "rsub.Tensor")
def reverse_subtract(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    add_scaled(lowering, node, a.other, a.self, a.alpha, "Sub")


@handles("mul.Tensor", "mul.Scalar")
def multiply(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    binary(lowering, node, a.self, a.other, "Mul")


@handles("div.Tensor", "div.Scalar")
def divide(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    binary(lowering, node, a.self, a.other, "Div")


@handles("square.default", "pow.Tensor_Scalar")
def square(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    if getattr(a, "exponent", 2) != 2:
        raise ValueError(f"the exponent must be 2, not {a.exponent}")
    binary(lowering, node, a.self, a.self, "Mul")


def add_scaled(lowering: Lowering, node: fx.Node, x: object, y: object, alpha: float, operator: str) -> None:
    if alpha != 1:
        raise ValueError(f"alpha must be 1, not {alpha}")
    binary(lowering, node, x, y, operator)


def binary(lowering: Lowering, node: fx.Node, x: object, y: object, operator: str) -> None:
    """x operator y, of which one may be a number."""
    numbers = [lowering.builder.constant(value) for value in (x, y)]
    name = lowering.unique(node)
    if numbers[0] is not None:
        lowering.add(node, Function(name, lowering.source(y), Expression(operator, (numbers[0], X))))
    elif numbers[1] is not None:
        lowering.add(node, Function(name, lowering.source(x), Expression(operator, (X, numbers[1]))))
    else:
        sources = lowering.source(x), lowering.source(y)
        lowering.add(node, Binary(name, *sources, operator))
