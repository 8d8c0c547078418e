"""Layers that exist only while a graph is lowered: fusing makes real ones of them."""

from __future__ import annotations

from ..layers.expression import Expression, X
from ..layers.layer import Layer
from ..layers.parameters import BatchNorm
from ..scales.quantizers import NO_CLAMP, Clamp


class Normalization(Layer):
    """A BatchNorm that is to be folded into the layer before it, or to become one of its own.

    shape : of its tensor, without the batch axis
    """

    def __init__(self, name: str, source: str, norm: BatchNorm, shape: tuple[int, ...]) -> None:
        super().__init__(name, source)
        self.norm, self.shape = norm, shape


class Function(Layer):
    """A function of one tensor and a clamp behind it.

    gates : its values are 0 and 1, and a product with them rounds nothing
    """

    def __init__(
        self, name: str, source: str, expression: Expression, clamp: Clamp = NO_CLAMP, *, gates: bool = False
    ) -> None:
        super().__init__(name, source)
        self.expression, self.clamp, self.gates = expression, clamp, gates

    @property
    def whole(self) -> Expression:
        """The function with the clamp as its last step."""
        if self.clamp == NO_CLAMP:
            return self.expression
        return Expression("Clip", (X, *self.clamp)).of(self.expression)


class Binary(Layer):
    """Two tensors element by element, and a clamp; operator: Add, Sub, Mul or Div."""

    def __init__(self, name: str, a: str, b: str, operator: str) -> None:
        super().__init__(name, a, b)
        self.operator = operator
        self.clamp = NO_CLAMP
