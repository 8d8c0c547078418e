"""A content-addressed cache of folders, filled once even when several processes ask at the same time."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from emulator.cache import cache_folder


def content_key(content: object) -> str:
    """SHA-256 of anything that JSON can write, in hexadecimal."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Hold an exclusive lock on `file`; the system drops it when the process dies, however it dies."""
    with file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def cached_folder(kind: str, key: str, make: Callable[[Path], None]) -> Path:
    """The folder `kind`/`key` of the cache, filled by ``make(folder)`` if it does not exist yet.

    `make` fills a partial folder that is renamed when it is complete, under a lock: parallel processes wait for the
    first one, and what an interrupted one left is removed by the next. An exception of `make` leaves nothing behind.
    """
    folder = cache_folder() / kind / key
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.with_suffix(".lock")):
        if not folder.is_dir():
            partial = folder.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            try:
                make(partial)
                partial.rename(folder)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    return folder
