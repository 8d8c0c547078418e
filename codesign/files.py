"""Output files that are complete or absent: written under a temporary name, then renamed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path


@contextmanager
def replacing(path: str | PathLike[str]) -> Iterator[Path]:
    """A temporary path beside `path`, with its suffix, for the block to write; then it takes the place of `path`.

    Where the block fails or is interrupted, `path` is as it was and the temporary file is gone. A device or pipe, which
    has no such halves, is written as it is. Raises ``OSError`` naming `path` where its folder cannot be written.
    """
    # Before resolving: /dev/stdout of a pipe resolves to a name that does not exist.
    if Path(path).exists() and not Path(path).is_file() and not Path(path).is_dir():
        yield Path(path)
        return
    target = Path(path).resolve()
    check_writable(path)
    temporary = target.with_name(f".{target.stem}.{os.getpid()}.part{target.suffix}")
    try:
        yield temporary
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: str | PathLike[str], names: Collection[str]) -> Iterator[Path]:
    """A temporary folder beside `path`, in which the block writes the files `names`; then it takes the place of `path`.

    Where the block fails or is interrupted, `path` is as it was and the temporary folder is gone. Raises what
    `check_folder` raises.
    """
    check_folder(path, names)
    target = Path(path).resolve()
    temporary, aside = (target.with_name(f".{target.name}.{os.getpid()}.{part}") for part in ("part", "aside"))
    temporary.mkdir()
    try:
        yield temporary
        if target.exists():
            target.rename(aside)
        temporary.rename(target)
    finally:
        if aside.exists() and not target.exists():
            aside.rename(target)
        shutil.rmtree(aside, ignore_errors=True)
        shutil.rmtree(temporary, ignore_errors=True)


def check_folder(path: str | PathLike[str], names: Collection[str]) -> None:
    """Raise ``OSError`` naming `path` unless a folder can be made there, or one is there with files `names` at most."""
    target = Path(path).resolve()
    check_writable(target / "file" if target.is_dir() else target)
    if target.exists() and not target.is_dir():
        raise NotADirectoryError(20, "is a file, not a folder", str(path))
    other = sorted(entry.name for entry in target.iterdir() if entry.name not in names) if target.exists() else []
    if other:
        raise FileExistsError(17, f"holds {other[0]!r}, which this command has not written", str(path))
    if not os.access(target.parent, os.W_OK):
        raise PermissionError(13, "cannot be replaced: permission denied in the folder around it", str(path))


def check_writable(path: str | PathLike[str]) -> None:
    """Raise ``OSError`` naming `path` unless a file can be written there: asked before long work, not after it."""
    target = Path(path).resolve()
    if target.is_dir():
        raise IsADirectoryError(21, "is a folder, not a file", str(path))
    if not target.parent.is_dir():
        raise FileNotFoundError(2, f"the folder {target.parent} does not exist", str(path))
    if not os.access(target.parent, os.W_OK) or (target.exists() and not os.access(target, os.W_OK)):
        raise PermissionError(13, "cannot be written: permission denied", str(path))


def write_text(path: str | PathLike[str], text: str) -> None:
    """Write `text` to `path` in UTF-8, as a whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
