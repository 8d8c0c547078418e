"""The `Arithmetic` that a model file was made for: metadata entry ``lockstep.arithmetic``, JSON of the six fields."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

from emulator.arithmetic import Arithmetic

KEY = "lockstep.arithmetic"
MAX_LENGTH = 1024


def choose_arithmetic(metadata: dict[str, str], given: Arithmetic | None, override: bool) -> Arithmetic:
    """The file's arithmetic, or `given`, or the default one.

    Raises ``ValueError`` where the entry is not exactly the six legal fields, and where `given` differs from it without
    `override`.
    """
    if given is not None and not isinstance(given, Arithmetic):
        raise TypeError(f"arithmetic must be an Arithmetic or None, not {given!r}")
    if KEY not in metadata:
        return Arithmetic() if given is None else given
    if given is not None and override:
        return given
    stored = _parse(metadata[KEY])
    if given is None or given == stored:
        return stored
    mine, theirs = given.as_dict(), stored.as_dict()
    conflicts = [f"{name} {theirs[name]!r} (given: {mine[name]!r})" for name in mine if mine[name] != theirs[name]]
    raise ValueError(
        f"metadata {KEY} has {', '.join(conflicts)}; override=True (--override) takes the given arithmetic"
    )


def _parse(text: str) -> Arithmetic:
    if len(text) > MAX_LENGTH:
        raise ValueError(f"metadata {KEY} must have at most {MAX_LENGTH} characters, not {len(text)}")
    try:
        pairs = json.loads(text, object_pairs_hook=_table)
    except (json.JSONDecodeError, RecursionError):
        raise ValueError(f"metadata {KEY} must be JSON, not {text[:60]!r}") from None
    known = {f.name for f in fields(Arithmetic)}
    if not isinstance(pairs, dict) or set(pairs) != known:
        found = sorted(pairs) if isinstance(pairs, dict) else text[:60]
        raise ValueError(f"metadata {KEY} must be an object of {', '.join(sorted(known))}, not {found!r}")
    try:
        return Arithmetic(**pairs)
    except ValueError as error:
        raise ValueError(f"metadata {KEY}: {error}") from None


def _table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError(f"metadata {KEY} gives a field twice")
    return dict(pairs)
