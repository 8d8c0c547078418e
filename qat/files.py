"""Files that appear under their names only when they are complete."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path


@contextmanager
def replacing(path: str | PathLike[str]) -> Iterator[Path]:
    """A path to write to, which takes the place of `path` afterwards, or vanishes with an error.

    Raises ``OSError`` naming `path` where it is a folder or its folder is missing.
    """
    file = Path(path)
    check_place(file)
    temporary = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        yield temporary
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def check_place(path: str | PathLike[str]) -> None:
    """Raise ``OSError`` unless `path` lies in a folder and is none."""
    if Path(path).is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not Path(path).parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
