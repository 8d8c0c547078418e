"""Digests of the code behind each kind of task: a changed line computes anew what it may have changed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from .tasks import RUN

ROOT = Path(__file__).parents[3]
_MACHINE = ("emulator", "compiler")
SOURCES: Mapping[str, tuple[str, ...]] = {
    RUN: (*_MACHINE, "codesign/networks", "codesign/execution", "codesign/study/evaluation"),
}
"""Kind → folders and files that compute it."""


@cache
def sources(kind: str) -> str:
    """SHA-256 in hexadecimal of the source files that compute tasks of this kind."""
    digest = hashlib.sha256()
    for place in SOURCES[kind]:
        path = ROOT / place
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            content = file.read_bytes()
            digest.update(f"{file.relative_to(ROOT).as_posix()} {len(content)}\n".encode())
            digest.update(content)
    return digest.hexdigest()
