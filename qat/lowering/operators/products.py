"""What products of two activations become: torch.matmul, the operator @, and torch.bmm."""

from __future__ import annotations

import numpy as np
from torch import fx

from ...layers.matrix_product import MatrixProduct
from ..arguments import Arguments, shape_of
from ..context import Lowering
from ..registry import handles
from .elementwise import operand


@handles("matmul.default")
def matmul(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    multiply(lowering, node, a.self, a.other)


@handles("bmm.default")
def bmm(lowering: Lowering, node: fx.Node, a: Arguments) -> None:
    multiply(lowering, node, a.self, a.mat2)


def multiply(lowering: Lowering, node: fx.Node, a: object, b: object) -> None:
    """The product of the tensors of two nodes, both with the batch first and two axes or more behind it."""
    if any(isinstance(x, fx.Node) and x in lowering.constants for x in (a, b)):
        raise ValueError(
            "its operands must both be activations, and one is made of parameters or constants alone: use nn.Linear "
            "or F.linear with that as the weight"
        )
    shapes = shape_of(a), shape_of(b)
    if len(shapes[0]) != len(shapes[1]) or len(shapes[0]) < 2:
        raise ValueError(
            "its operands must both have the batch first and equally many axes behind it, 2 or 3, not "
            f"{shapes[0]} and {shapes[1]}: give them axes of size 1 with unsqueeze"
        )
    add_product(lowering, node, operand(lowering, node, a), operand(lowering, node, b))


def add_product(lowering: Lowering, node: fx.Node, a: str, b: str, factor: float = 1.0, part: str = "") -> str:
    """The product of the layers a, (batch, …, M, K), and b, (batch, …, K, N), for `node`; returns its name.

    factor : a positive number that the result is multiplied with, as float32
    part : what it computes of the node, where the node stands for more than the product
    """
    name = lowering.unique(node, part)
    layer = MatrixProduct(name, a, b, arithmetic=lowering.arithmetic, settings=lowering.settings)
    layer.factor = float(np.float32(factor))
    return lowering.add(node, layer)
