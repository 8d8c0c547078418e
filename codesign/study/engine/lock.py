"""`locked`: one process at a time in a study's folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...files import naming

LOCK = ".lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder for the block.

    The kernel gives the lock back when the process ends, however it ends, so none is ever stale; the file stays. Raises
    ``ValueError`` naming the process that has it.
    """
    with naming(folder / LOCK, nameless=False):
        handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 20).decode("ascii", "replace").strip()
            raise ValueError(
                f"{folder}: process {holder or 'of an unknown number'} runs a study in this folder; "
                "wait until it ends, or give another folder"
            ) from None
        with naming(folder / LOCK):
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)
