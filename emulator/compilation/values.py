"""What an expression of a compiled function stands for: integers, arrays and records of integers, tuples of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

ENTRY = "entry"
"""Name of the function that Python calls."""


class CompileError(TypeError):
    """A function, or an argument, is outside of what can be compiled; the text names the place."""


@dataclass(frozen=True, slots=True)
class Kind:
    """An integer's width in memory; arithmetic is done in 64 bits, and wraps."""

    bits: int
    signed: bool = True

    def __str__(self) -> str:
        return f"i{self.bits}"


BOOL, INT64 = Kind(1, signed=False), Kind(64)
KINDS = {
    np.dtype(f"{'' if signed else 'u'}int{bits}"): Kind(bits, signed)
    for bits in (8, 16, 32, 64)
    for signed in (True, False)
    if signed or bits < 64
}
"""What elements and fields may be."""


@dataclass(frozen=True, slots=True)
class RecordType:
    """A record in an array: its dtype and the array's place in memory (`ArrayType.memory`)."""

    dtype: np.dtype[np.void]
    memory: int


@dataclass(frozen=True, slots=True)
class ArrayType:
    """A C-contiguous array.

    element : an integer's kind, or a record's dtype
    memory : arrays of different numbers (from 1 on) share no byte; 0: may share bytes with any
    """

    element: Kind | np.dtype[np.void]
    ndim: int
    memory: int


@dataclass(eq=False, slots=True)
class Tree:
    """A named tuple that is an argument: what lies in it is known when a function is compiled."""

    parts: dict[str, Tree | Leaf]
    name: str


@dataclass(eq=False, slots=True)
class Leaf:
    """An array of an argument; `place` : of its address in the table of addresses, its shape follows."""

    type: ArrayType
    place: int


@dataclass(frozen=True, slots=True)
class TupleType:
    """A tuple whose items have these types."""

    items: tuple[Type, ...]


Type: TypeAlias = Kind | RecordType | ArrayType | TupleType | Tree
"""What is known of a value when a function is compiled; hashable, a tree by identity."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """An integer: its name, or digits, in the function's text; `constant` : its value, if that is known."""

    kind: Kind
    text: str
    constant: int | None = None

    @property
    def type(self) -> Kind:
        """The kind."""
        return self.kind


@dataclass(frozen=True, slots=True)
class Record:
    """A reference to a record."""

    type: RecordType
    pointer: str


@dataclass(frozen=True, slots=True)
class Array:
    """A reference to an array, its shape as 64-bit integers."""

    type: ArrayType
    pointer: str
    shape: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Items:
    """Several values: a function's results, or an array's shape."""

    items: tuple[Value, ...]

    @property
    def type(self) -> TupleType:
        """The types of the items."""
        return TupleType(tuple(item.type for item in self.items))


@dataclass(frozen=True, slots=True)
class Subtree:
    """A named tuple of arrays."""

    type: Tree


Value: TypeAlias = Scalar | Record | Array | Items | Subtree


@dataclass(frozen=True, slots=True)
class Static:
    """A Python object that the function's text names: a module, a function, a type; not a value by itself."""

    object: Any


def constant(value: int) -> Scalar:
    """A known integer, taken modulo 2^64."""
    if isinstance(value, bool):
        return Scalar(BOOL, str(int(value)), int(value))
    wrapped = (int(value) + (1 << 63)) % (1 << 64) - (1 << 63)
    return Scalar(INT64, str(wrapped), wrapped)


def join(first: Type, second: Type) -> Type | None:
    """The type of a variable that is given both, or None."""
    match first, second:
        case _ if first == second:
            return first
        case Kind(), Kind():
            return INT64
        case RecordType(), RecordType() if first.dtype == second.dtype:
            return RecordType(first.dtype, 0)
        case ArrayType(), ArrayType() if (first.element, first.ndim) == (second.element, second.ndim):
            return ArrayType(first.element, first.ndim, 0)
        case TupleType(), TupleType() if len(first.items) == len(second.items):
            items = tuple(join(one, two) for one, two in zip(first.items, second.items, strict=True))
            return None if None in items else TupleType(items)  # type: ignore[arg-type]
    return None
