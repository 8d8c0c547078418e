"""What the machine code of a function is made of, as a digest: its own code, that of what it calls, all constants."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np


def _code(code: CodeType) -> str:
    constants = [value for value in code.co_consts if isinstance(value, int | tuple | frozenset | str)]
    if code.co_consts and isinstance(code.co_consts[0], str):
        constants = constants[1:]  # the docstring
    return f"{code.co_code.hex()} {constants} {code.co_names} {code.co_varnames}"


def function_digest(function: FunctionType) -> str:
    """SHA-256 of all that `function` compiles to, but the types of its arguments and the processor."""
    parts, waiting, seen = list[str](), [function], {function}

    def look(name: str, value: Any, names: tuple[str, ...]) -> None:
        inner = getattr(value, "compiled_function", None)
        if inner is not None:
            parts.append(f"{name} is {inner.__module__}.{inner.__qualname__}")
            if inner not in seen:
                seen.add(inner)
                waiting.append(inner)
        elif isinstance(value, ModuleType):
            for further in names:
                if further in vars(value):
                    look(f"{name}.{further}", vars(value)[further], ())
        elif isinstance(value, np.ndarray):
            parts.append(f"{name} is {value.dtype} {value.shape} {value.tobytes().hex()}")
        elif isinstance(value, int | str | tuple | list | np.generic | None):
            parts.append(f"{name} is {value!r}")
        else:  # a type or a function: its text would have its address
            parts.append(f"{name} is {getattr(value, '__module__', '')}.{getattr(value, '__qualname__', type(value))}")

    while waiting:
        code = (inner := waiting.pop()).__code__
        parts.append(f"{inner.__module__}.{inner.__qualname__}: {_code(code)}")
        for name in code.co_names:
            if name in inner.__globals__:
                look(name, inner.__globals__[name], code.co_names)
        for name, cell in zip(code.co_freevars, inner.__closure__ or (), strict=True):
            look(name, cell.cell_contents, code.co_names)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def compiler_digest() -> str:
    """SHA-256 of this compiler."""
    digest = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()
