"""A compiler of Python functions on integers and arrays of integers, by LLVM: what makes the machine's cycle loop."""

from .compiled import Compiled, compiled
from .values import CompileError

__all__ = ["CompileError", "Compiled", "compiled"]
