"""`Store`: outcomes by the key of their task, in a folder; what is damaged there counts as absent."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...files import naming
from .task import Outcome, canonical

FORMAT = 1
MOST_BYTES = 1 << 30
"""Of one file in the store; a longer one is not read."""

_KIND, _KEY, _FILE = re.compile(r"[a-z][a-z0-9_]*"), re.compile(r"[0-9a-f]{64}"), re.compile(r"\w[\w.-]*")


class Store:
    """``FOLDER/<kind>/<key>/``: ``outcome.json`` and the outcome's files beside it.

    An entry is written under a temporary name and renamed, so it is whole or absent, whatever ends the process. There
    is one writer, the process that holds the lock of the folder around.

    damaged : entries that were there and could not be used
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.damaged = 0
        with naming(folder):
            folder.mkdir(parents=True, exist_ok=True)
            for rest in folder.glob("*/.*.part"):  # of a process that was killed
                shutil.rmtree(rest, ignore_errors=True)

    def get(self, kind: str, key: str) -> Outcome | None:
        """The outcome of that task, or None: absent, damaged, or not what its name says."""
        place = self._place(kind, key)
        if not place.is_dir():
            return None
        try:
            return _outcome(place, kind, key)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            self.damaged += 1
            return None

    def keys(self, kind: str) -> list[str]:
        """Of the entries of a kind, damaged ones included; sorted."""
        folder = self.folder / kind
        return sorted(entry.name for entry in folder.iterdir() if _KEY.fullmatch(entry.name)) if folder.is_dir() else []

    def put(self, kind: str, key: str, outcome: Outcome) -> None:
        """Keep an outcome; raises ``OSError`` naming the store, and leaves nothing half-written, where it cannot."""
        place = self._place(kind, key)
        body = {
            "values": dict(outcome.values),
            "failure": outcome.failure,
            "seconds": outcome.seconds,
            "files": {_file_name(name): hashlib.sha256(data).hexdigest() for name, data in outcome.files.items()},
        }
        head = {"format": FORMAT, "kind": kind, "key": key, "digest": _digest(body)}
        temporary = place.with_name(f".{key}.{os.getpid()}.part")
        with naming(self.folder, temporary):
            try:
                temporary.mkdir(parents=True)
                for name, data in outcome.files.items():
                    (temporary / name).write_bytes(data)
                text = json.dumps(head | body, allow_nan=False)
                (temporary / "outcome.json").write_text(text, encoding="utf-8")
                if place.is_dir() and not place.is_symlink():
                    shutil.rmtree(place)  # it was damaged, or nobody would compute it again
                elif os.path.lexists(place):
                    place.unlink()
                temporary.rename(place)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)

    def _place(self, kind: str, key: str) -> Path:
        if not _KIND.fullmatch(kind) or not _KEY.fullmatch(key):
            raise ValueError(f"a task's kind must be a plain name and its key a SHA-256, not {kind!r} and {key!r}")
        return self.folder / kind / key


def _outcome(place: Path, kind: str, key: str) -> Outcome:
    """Read and check an entry; what is raised for a damaged one is anything that reading untrusted JSON raises."""
    record = json.loads(_read(place / "outcome.json"))
    if (record["format"], record["kind"], record["key"]) != (FORMAT, kind, key):
        raise ValueError("of another task")
    body = {name: record[name] for name in ("values", "failure", "seconds", "files")}
    if record["digest"] != _digest(body):
        raise ValueError("changed")
    files = {}
    for name, digest in body["files"].items():
        files[name] = _read(place / _file_name(name))
        if hashlib.sha256(files[name]).hexdigest() != digest:
            raise ValueError("changed")
    return Outcome(body["values"], files, body["failure"], body["seconds"])


def _read(file: Path) -> bytes:
    if file.is_symlink() or not file.is_file() or file.stat().st_size > MOST_BYTES:
        raise ValueError("not a plain file of a possible size")
    return file.read_bytes()


def _file_name(name: str) -> str:
    if not _FILE.fullmatch(name) or name == "outcome.json":
        raise ValueError(f"an outcome's file must have a plain name, not {name!r}")
    return name


def _digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical(body).encode()).hexdigest()
