"""The `Arithmetic` that a model file was made for: metadata entry ``lockstep.arithmetic``, JSON of its fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

from emulator.arithmetic import Arithmetic

from .json_entry import read_json

KEY = "lockstep.arithmetic"
MAX_LENGTH = 1024


def choose_arithmetic(metadata: dict[str, str], given: Arithmetic | None, override: bool) -> Arithmetic:
    """The file's arithmetic, or `given`, or the default one.

    Raises ``ValueError`` where the entry is not exactly the legal fields (`adder`, which the contract's version 1 did
    not have, may be absent), and where `given` differs from it without `override`.
    """
    if given is not None and not isinstance(given, Arithmetic):
        raise TypeError(f"arithmetic must be an Arithmetic or None, not {given!r}")
    if KEY not in metadata:
        return Arithmetic() if given is None else given
    if given is not None and override:
        return given
    stored = _stored(metadata)
    if given is None or given == stored:
        return stored
    mine, theirs = given.as_dict(), stored.as_dict()
    conflicts = [f"{name} {theirs[name]!r} (given: {mine[name]!r})" for name in mine if mine[name] != theirs[name]]
    raise ValueError(
        f"metadata {KEY} has {', '.join(conflicts)}; override=True (--override) takes the given arithmetic"
    )


def _stored(metadata: Mapping[str, str]) -> Arithmetic:
    values = read_json(metadata, KEY, MAX_LENGTH)
    known = {f.name for f in fields(Arithmetic)}
    if set(values) | {"adder"} != known:
        raise ValueError(f"metadata {KEY} must be an object of {', '.join(sorted(known))}, not {sorted(values)!r}")
    try:
        return Arithmetic(**values)
    except ValueError as error:
        raise ValueError(f"metadata {KEY}: {error}") from None
