"""Output files that are complete or absent: written under a temporary name, then renamed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path


@contextmanager
def naming(path: str | PathLike[str], temporary: Path | None = None, *, nameless: bool = True) -> Iterator[None]:
    """An ``OSError`` of the block names `path`, as the user gave it.

    temporary : file or folder that is written to take the place of `path`, and would be named instead
    nameless : errors that name nothing, as those of a full device do, are of this writing too
    """
    try:
        yield
    except OSError as error:
        named = None if error.filename is None else Path(str(error.filename))
        if named is None and nameless:
            error.filename = str(path)
        elif named is not None and temporary is not None and named.is_relative_to(temporary):
            error.filename = str(Path(path) / named.relative_to(temporary))
        raise


@contextmanager
def replacing(path: str | PathLike[str]) -> Iterator[Path]:
    """A temporary path beside `path`, with its suffix, for the block to write; then it takes the place of `path`.

    Where the block fails or is interrupted, `path` is as it was and the temporary file is gone. A device or pipe, which
    has no such halves, is written as it is. Raises ``OSError`` naming `path` where its folder cannot be written.
    """
    # Before resolving: /dev/stdout of a pipe resolves to a name that does not exist.
    if Path(path).exists() and not Path(path).is_file() and not Path(path).is_dir():
        with naming(path):
            yield Path(path)
        return
    target = Path(path).resolve()
    check_writable(path)
    temporary = target.with_name(f".{target.stem}.{os.getpid()}.part{target.suffix}")
    with naming(path, temporary):
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
    with naming(path, temporary):
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


@contextmanager
def filling_folder(path: str | PathLike[str], names: Collection[str]) -> Iterator[Path]:
    """A temporary folder, in which the block writes the files `names`; then they go to `path`, whatever else is there.

    Where the block fails or is interrupted, `path` is as it was, and absent if it was. Raises ``OSError`` naming the
    culprit, before anything is made, unless a folder and the files can be there.
    """
    target = Path(path).resolve()
    absent = [folder for folder in (target, *target.parents) if not folder.exists()]
    _check_place(absent[-1].parent if absent else target, path)
    for name in names if not absent else ():
        check_writable(target / name)
    temporary = target / f".{os.getpid()}.part"
    with naming(path, temporary, nameless=False):  # the block does more than writing
        try:
            temporary.mkdir(parents=True)
            yield temporary
            for file in temporary.iterdir():
                file.replace(target / file.name)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            with suppress(OSError):  # one that is not empty stays
                for folder in absent:
                    folder.rmdir()


def check_folder(path: str | PathLike[str], names: Collection[str]) -> None:
    """Raise ``OSError`` naming `path` unless a folder can be made there, or one is there with files `names` at most."""
    target = Path(path).resolve()
    _check_place(target if target.exists() else target.parent, path)
    other = sorted(entry.name for entry in target.iterdir() if entry.name not in names) if target.exists() else []
    if other:
        raise FileExistsError(17, f"holds {other[0]!r}, which this command has not written", str(path))
    if not os.access(target.parent, os.W_OK):
        raise PermissionError(13, "cannot be replaced: permission denied in the folder around it", str(path))


def check_writable(path: str | PathLike[str]) -> None:
    """Raise ``OSError`` naming `path` unless a file can be written there: asked before long work, not after it."""
    target = Path(path).resolve()
    if Path(path).exists() and not Path(path).is_file() and not target.is_dir():
        if not os.access(path, os.W_OK):  # a device or pipe
            raise PermissionError(13, "cannot be written: permission denied", str(path))
        return
    if target.is_dir():
        raise IsADirectoryError(21, "is a folder, not a file", str(path))
    _check_place(target.parent, path)
    if target.exists() and not os.access(target, os.W_OK):
        raise PermissionError(13, "cannot be written: permission denied", str(path))


def check_apart(written: Iterable[str | Path | None], read: Iterable[str | Path | None] = ()) -> None:
    """Raise ``ValueError`` for a file that a command would write over one that it reads, or write twice.

    None, ``-`` (standard output), devices and pipes lie nowhere.
    """
    places = {Path(path).resolve(): path for path in read if path is not None}
    for path in written:
        if path is None or str(path) == "-" or (Path(path).exists() and not Path(path).is_file()):
            continue
        place = Path(path).resolve()
        other = next((there for there in places if there == place or _same(there, place)), None)
        if other is not None:
            raise ValueError(f"{path}: must be another file than {places[other]}, which this command reads or writes")
        places[place] = path


def _same(one: Path, two: Path) -> bool:
    """Whether both names, which may be hard links, are of one file."""
    return one.exists() and two.exists() and one.samefile(two)


def _check_place(folder: Path, path: str | PathLike[str]) -> None:
    """Raise ``OSError`` naming `path` unless files can be made in `folder`."""
    if not folder.exists():
        raise FileNotFoundError(2, f"the folder {folder} does not exist", str(path))
    if not folder.is_dir():
        raise NotADirectoryError(20, f"{folder} is a file, not a folder", str(path))
    try:  # what a folder's permissions say is not all: /proc, a full or read-only disk
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise type(error)(error.errno, f"cannot be written: {error.strerror}", str(path)) from None


def write_text(path: str | PathLike[str], text: str) -> None:
    """Write `text` to `path` in UTF-8, as a whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
