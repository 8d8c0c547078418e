"""`compiled`: a Python function on integers and arrays of them, as machine code from its first call on."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import sys
import threading
from collections.abc import Callable
from types import FunctionType
from typing import Any, Generic, ParamSpec, TypeVar, cast

from ..announce import announce
from ..cache import cache_folder
from .arguments import Arguments, argument_types, read_arguments
from .digest import compiler_digest, function_digest
from .values import BOOL

P = ParamSpec("P")
R = TypeVar("R")
_LOCK = threading.Lock()
LONG, BYTES_A_SECOND = 200_000, 250_000
"""LLVM's text: what takes a second to compile, and how much of it LLVM compiles in one."""


class Compiled(Generic[P, R]):
    """A function that is compiled for the types of its arguments, or read from the disk, when it is first called."""

    def __init__(self, function: Callable[P, R]):
        self.compiled_function = cast(FunctionType, function)
        self._codes: dict[tuple[Any, ...], tuple[Any, bool, bool]] = {}
        functools.update_wrapper(self, function)

    def __call__(self, *values: P.args, **named: P.kwargs) -> R:
        """Run it. Raises `CompileError` for arguments or code that cannot be compiled."""
        given = read_arguments(values)
        if given.key not in self._codes:
            with _LOCK:
                if given.key not in self._codes:
                    self._codes[given.key] = self._prepare(values, given)
        call, returns, truth = self._codes[given.key]
        result = call(given.table.ctypes.data, *given.numbers)
        return cast(R, (bool(result) if truth else result) if returns else None)

    def _prepare(self, values: tuple[Any, ...], given: Arguments) -> tuple[Any, bool, bool]:
        from . import engine  # with LLVM

        types, text = argument_types(values, given)
        function = self.compiled_function
        content = (function_digest(function), compiler_digest(), sys.version, engine.processor(), text)
        name = hashlib.sha256("\n".join(content).encode()).hexdigest()
        file = cache_folder() / "compiled" / f"{function.__name__}-{name[:32]}"
        kept = engine.read_code(file)
        if kept is None:
            from .module import Module

            source, kind = Module(given.shared).text(function, types)
            if len(source) > LONG:
                seconds = round(len(source) / BYTES_A_SECOND)
                announce(f"compiling {function.__module__} (about {seconds} s, kept in {file.parent})")
            kept = bytes([kind is not None, kind == BOOL]) + engine.machine_code(source)
            engine.write_code(file, kept)
        arguments = [ctypes.c_int64] * len(given.numbers)
        call = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, *arguments)(engine.load(kept[2:]))
        return call, bool(kept[0]), bool(kept[1])


def compiled(function: Callable[P, R]) -> Compiled[P, R]:
    """A function that other compiled functions, and Python, can call. The interpreter's lock is free while it runs.

    What can be compiled: integers (64 bits, which wrap), arrays of integers and of records of integers, named tuples
    of arrays; `if`, `while`, `for` over a range, calls of compiled functions, `min`, `max`, `abs`, `len`, `int`, `bool`
    and NumPy's integer types. Indices are not checked and must not be negative, but for constants; nothing allocates.
    Everything that a function names and does not assign is a constant.
    """
    return Compiled(function)
