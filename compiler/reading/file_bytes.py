"""The bytes of a model file from outside."""

from __future__ import annotations

import stat
from os import PathLike
from pathlib import Path


def read_bytes(path: str | PathLike[str], most: int) -> bytes:
    """All of a file of at most so many bytes; ``ValueError`` if it cannot be read, is empty or is no regular file."""
    return _read(path, most, None)


def first_bytes(path: str | PathLike[str], count: int) -> bytes:
    """The first `count` bytes, fewer if there are no more; ``ValueError`` as `read_bytes`."""
    return _read(path, None, count)


def _read(path: str | PathLike[str], most: int | None, count: int | None) -> bytes:
    try:
        file = Path(path)
        status = file.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("is not a regular file")
        if status.st_size == 0:
            raise ValueError("is empty")
        if most is not None and status.st_size > most:
            raise ValueError(f"must have at most {most} bytes, not {status.st_size}")
        with file.open("rb") as stream:
            data = stream.read(-1 if count is None else count)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    if not data:  # emptied since it was looked at
        raise ValueError("is empty")
    return data
