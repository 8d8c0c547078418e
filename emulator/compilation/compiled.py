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
        return self._run(self._code(values, given), given.table.ctypes.data, given.numbers)

    def bind(self, *values: Any) -> Callable[..., R]:
        """The function with its first arguments given, arrays and named tuples of them; what is left are integers.

        The arrays are looked at in the first call alone, so that a call takes microseconds where a machine's state of a
        hundred arrays takes half a millisecond to look at. They are kept alive, and must stay where they are in memory.
        """
        bound: tuple[Arguments, tuple[Any, bool, bool], int, list[int]] | None = None

        def call(*integers: int) -> R:
            nonlocal bound
            if bound is None:
                given = read_arguments((*values, *integers))
                numbers = given.numbers[: len(given.numbers) - len(integers)]
                bound = given, self._code((*values, *integers), given), given.table.ctypes.data, numbers
            _, code, table, numbers = bound
            return self._run(code, table, [*numbers, *map(int, integers)])

        return call

    def _code(self, values: tuple[Any, ...], given: Arguments) -> tuple[Any, bool, bool]:
        """(machine code, whether it returns something, whether that is a truth value) for such arguments."""
        if given.key not in self._codes:
            with _LOCK:
                if given.key not in self._codes:
                    self._codes[given.key] = self._prepare(values, given)
        return self._codes[given.key]

    @staticmethod
    def _run(code: tuple[Any, bool, bool], table: int, numbers: list[int]) -> R:
        call, returns, truth = code
        result = call(table, *numbers)
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
