"""`Context`: what the code of a function asks of the module that it is a part of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .values import Array, CompileError, Type


@dataclass(frozen=True, slots=True)
class Instance:
    """A function in the module; result : None where it returns nothing."""

    name: str
    result: Type | None


class Context(Protocol):
    """A module that is being compiled.

    attributes : those of all its functions, in LLVM's words
    """

    attributes: str

    def instance(
        self, function: FunctionType, types: tuple[Type, ...], error: Callable[[str], CompileError] = CompileError
    ) -> Instance:
        """The function for arguments of these types."""
        ...

    def constant_array(self, array: NDArray[np.integer]) -> Array:
        """An array that compiled functions only read."""
        ...

    def tag(self, memory: int, offset: int | None) -> str:
        """What tells LLVM which bytes an access can touch: those of one array, of one field of its records."""
        ...
