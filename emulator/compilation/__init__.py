"""A compiler of Python functions on integers and arrays of integers, by LLVM: what the machine's cycle loop is made with."""

from .compiled import Compiled, compiled
from .values import CompileError

__all__ = ["CompileError", "Compiled", "compiled"]
