"""What sums, differences, products and quotients become: layers of two tensors, or functions of one and a number."""

from __future__ import annotations

from torch import fx

from ...layers.computed import Computed
from ...layers.expression import Expression, X
from ..arguments import Arguments, shape_of
from ..context import Lowering
from ..made import Condition
from ..pseudo import Binary, Function
from ..registry import handles
from .affine import add_affine


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
        raise ValueError(
            f"the exponent must be 2, not {a.exponent}: multiply the tensor with itself, or use exp and log"
        )
    binary(lowering, node, a.self, a.self, "Mul")


def add_scaled(lowering: Lowering, node: fx.Node, x: object, y: object, alpha: float, operator: str) -> None:
    if alpha != 1:
        raise ValueError(f"alpha must be 1, not {alpha}: multiply the second tensor with it first")
    binary(lowering, node, x, y, operator)


def scalar(lowering: Lowering, value: object) -> float | Computed | None:
    """A number, or what gives a number of the model's parameters; None for anything else."""
    number = lowering.number(value)
    if number is None and isinstance(value, fx.Node) and value in lowering.constants:
        return lowering.constants.computed(value) if value.meta["val"].numel() == 1 else None
    return number


def binary(lowering: Lowering, node: fx.Node, x: object, y: object, operator: str) -> None:
    """x operator y, of which one may be a number, or what the model's code makes of parameters."""
    numbers = [scalar(lowering, value) for value in (x, y)]
    if numbers[0] is not None:
        source = operand(lowering, node, y)
        lowering.add(node, Function(lowering.unique(node), source, Expression(operator, (numbers[0], X))))
    elif numbers[1] is not None:
        source = operand(lowering, node, x)
        lowering.add(node, Function(lowering.unique(node), source, Expression(operator, (X, numbers[1]))))
    elif isinstance(x, fx.Node) and x in lowering.constants:
        if operator == "Div":
            raise ValueError(
                "a constant of several numbers cannot be divided by an activation: multiply it with the activation's "
                "reciprocal()"
            )
        add_affine(lowering, node, operand(lowering, node, y), shape_of(y), x, operator, True)
    elif isinstance(y, fx.Node) and y in lowering.constants:
        add_affine(lowering, node, operand(lowering, node, x), shape_of(x), y, operator, False)
    else:
        sources = operand(lowering, node, x), operand(lowering, node, y)
        lowering.add(node, Binary(lowering.unique(node), *sources, operator))


def operand(lowering: Lowering, node: fx.Node, value: object) -> str:
    """The layer of a tensor; a condition becomes one of zeros and ones."""
    made = lowering.made(value)
    if isinstance(made, Condition):
        return lowering.add(node, Function(lowering.unique(node), made.source, made.yes, gates=True))
    return lowering.source(value)
