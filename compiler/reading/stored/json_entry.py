"""A metadata entry of a model file as an object of JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


class _Twice(ValueError):
    """An object has two values of one name."""


def read_json(metadata: Mapping[str, str], key: str, most: int) -> dict[str, Any]:
    """The object of at most so many characters in entry `key`, {} without the entry.

    Raises ``ValueError`` naming the key where the entry is longer, is anything else than an object of JSON, or gives a
    name twice.
    """
    text = metadata.get(key, "{}")
    if len(text) > most:
        raise ValueError(f"metadata {key} must have at most {most} characters, not {len(text)}")
    try:
        found = json.loads(text, object_pairs_hook=_object)
    except _Twice as error:
        raise ValueError(f"metadata {key} gives {error} twice") from None
    except (ValueError, RecursionError):  # ValueError: also a number of too many digits
        raise ValueError(f"metadata {key} must be JSON, not {text[:60]!r}") from None
    if not isinstance(found, dict):
        raise ValueError(f"metadata {key} must be an object, not {text[:60]!r}")
    return found


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise _Twice(f"{name[:60]!r}")
        found[name] = value
    return found
