"""What the machine's compiled cycle loop is made of: the compiler, and records of an instruction's fields."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
import numpy as np

from ..instructions import FORMATS, Opcode

F = TypeVar("F", bound=Callable[..., Any])

MAX_FIELDS = max(len(fields) for fields in FORMATS.values())


_PACKAGE = __package__ or ""
_njit: Any = numba.njit  # its annotations know neither `_nrt` nor the wrappers
_settings: Any = numba.config
_HERE = Path(__file__).parent


def _imported(source: Path) -> set[Path]:
    """The files that a file imports by relative names when it is run; it and theirs included."""
    found, waiting = set[Path](), {source}
    while waiting:
        file = waiting.pop()
        found.add(file)
        for node in ast.parse(file.read_bytes()).body:
            if isinstance(node, ast.ImportFrom) and node.level:
                folder = file.parents[node.level - 1].joinpath(*(node.module or "").split("."))
                named = {folder.with_suffix(".py"), folder / "__init__.py"}
                named |= {folder / f"{alias.name}.py" for alias in node.names}
                waiting |= {path for path in named if path.exists()} - found
    return found


def _stamp(module: str) -> str:
    """A digest of all that the functions of a module may be made of."""
    digest, name = hashlib.sha256(), module.removeprefix(f"{_PACKAGE}.")
    inside = _HERE.joinpath(*name.split(".")).with_suffix(".py")
    files = _imported(inside) if module != name else {*_HERE.rglob("*.py"), *_HERE.parent.glob("*.py")}
    for source in sorted(files):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def _compile(function: F, **options: bool) -> F:
    given = _settings.CACHE_DIR
    folder = Path(given or Path(__file__).with_name("__pycache__")) / _stamp(function.__module__)
    _settings.CACHE_DIR = str(folder)
    try:
        jit = _njit(cache=True, nogil=True, _nrt=False, forceinline=True, no_cfunc_wrapper=True, **options)
        return jit(function)  # type: ignore[no-any-return]
    finally:
        _settings.CACHE_DIR = given


def entry(function: F) -> F:
    """Numba's nopython mode, to be called from Python; compiled on the first call, then read from the disk.

    Nothing allocates: without reference counts and calls, a cycle takes a fifth of the time. `copy` copies arrays.

    Numba looks only at the file of the function itself when it decides whether what it has on the disk is up to date;
    what is called, and compiled into it, may lie in other files. So every state of the sources has its own folder.
    """
    return _compile(function)


def compiled(function: F) -> F:
    """`entry` for what compiled functions call; outside of this package, it can be called from Python too.

    What takes a `State` out of Python's hands is long, and would be compiled into each function.
    """
    return _compile(function, no_cpython_wrapper=function.__module__.startswith(_PACKAGE))


@compiled
def copy(target: Any, source: Any) -> None:
    """``target[:] = source``, which would allocate, for arrays of one axis and one length."""
    for i in range(len(target)):
        target[i] = source[i]


def fields_dtype(opcode: Opcode) -> np.dtype[np.void]:
    """A record of an instruction's fields, int64 each, in the order of the format."""
    return np.dtype([(field.name, np.int64) for field in FORMATS[opcode]])


def fields_record(raw: np.ndarray[Any, np.dtype[np.int64]], opcode: Opcode) -> np.ndarray[Any, np.dtype[np.void]]:
    """A one-element record array that shows the beginning of `raw` under the fields' names."""
    return raw[: len(FORMATS[opcode])].view(fields_dtype(opcode))
