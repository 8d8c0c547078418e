"""`ElementTrace`: how one code of a layer comes about, from its operands to the last rounding."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from .steps import Step

Index = tuple[int, ...]


@dataclass(frozen=True)
class PartialSum:
    """One product of a sum.

    place : where the operand lies in the input tensor (stored axes), None: it is padding
    x, w : the codes; product : (x − zx) · (w − zw)
    total : the sum up to here, as the accumulator holds it; overflowed : it had left the accumulator's range
    """

    place: Index | None
    x: int
    w: int
    product: int
    total: int
    overflowed: bool


@dataclass(frozen=True)
class Operand:
    """A code that an element is made of, where it is no product of a sum."""

    tensor: str
    place: Index | None
    code: int


@dataclass(frozen=True)
class ElementTrace:
    """How the contract makes one code.

    index : in the layer's stored axes, without the batch
    start : what its sum begins with, the bias; None: it is no sum of products
    code : the result; an integer sum where the layer is `raw`
    """

    layer: str
    operator: str
    index: Index
    code: int
    start: int | None = None
    sums: tuple[PartialSum, ...] = ()
    operands: tuple[Operand, ...] = ()
    steps: tuple[Step, ...] = ()

    @property
    def quotient(self) -> Fraction | None:
        """The exact number in front of the last rounding, without the zero point; None: nothing is rounded."""
        found = [step.quotient for step in self.steps if step.quotient is not None]
        return found[-1] if found else None
