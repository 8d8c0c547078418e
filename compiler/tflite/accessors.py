"""`Accessors`: the schema package's accessors over bytes from outside, which nothing verifies."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

# What the flatbuffers runtime raises where an offset or a length points outside the bytes.
_OUTSIDE = (struct.error, TypeError, ValueError, IndexError, OverflowError)
# A file's own tables come to a fraction of its size; only vectors and tables that many others share come to more.
_WORK_PER_BYTE = 8
_WORK_AT_LEAST = 1 << 18
_WORK_PER_ACCESS = 16


class Accessors:
    """Reads fields of flatbuffer tables; ``ValueError`` naming the field where it lies outside the file.

    The runtime reads inside the bytes only, and copies nothing but strings; lengths are checked before a vector is
    walked, and the work of all reads together is bounded by the file's size, so that tables that many others point to
    cannot make it large.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._left = _WORK_PER_BYTE * len(data) + _WORK_AT_LEAST

    def read(self, what: str, get: Callable[..., Any], *arguments: Any) -> Any:
        """What an accessor gives."""
        self._charge(_WORK_PER_ACCESS)
        try:
            return get(*arguments)
        except _OUTSIDE:
            raise ValueError(f"{what} lies outside the file, which is damaged") from None

    def count(self, what: str, table: Any, name: str, most: int) -> int:
        """Elements of vector `name` of `table`; ``ValueError`` for more than `most`, or than there are bytes."""
        count = int(self.read(what, getattr(table, f"{name}Length")))
        if count > min(most, len(self.data)):
            raise ValueError(f"{what} must have at most {min(most, len(self.data))} elements, not {count}")
        return count

    def vector(self, what: str, table: Any, name: str, most: int = 1 << 31) -> NDArray[Any]:
        """Vector `name` of numbers as a view of the file; empty where the table has none."""
        count = self.count(what, table, name, most)
        if count == 0:
            return np.zeros(0, np.int64)
        found: NDArray[Any] = self.read(what, getattr(table, f"{name}AsNumpy"))
        return found

    def tables(self, what: str, table: Any, name: str, most: int = 1 << 20) -> list[Any]:
        """Vector `name` of tables."""
        get = getattr(table, name)
        return [self.read(f"{what} {i}", get, i) for i in range(self.count(what, table, name, most))]

    def text(self, what: str, get: Callable[[], bytes | None], most: int = 1 << 12) -> str:
        """A string of at most `most` characters, what is not UTF-8 replaced."""
        found = self.read(what, get) or b""
        self._charge(len(found))
        if len(found) > most:
            raise ValueError(f"{what} must have at most {most} characters, not {len(found)}")
        return found.decode("utf-8", "replace")

    def charge_walk(self, elements: int) -> None:
        """Count the work of walking a vector's elements one by one."""
        self._charge(elements)

    def _charge(self, work: int) -> None:
        self._left -= work
        if self._left < 0:
            raise ValueError("its tables point to one another again and again, as no converter writes them")
