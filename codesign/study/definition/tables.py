"""Reading a study's tables: unknown keys, types and bounds, each refused in a sentence that names the place."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any


def check_keys(table: object, known: Collection[str], where: str) -> dict[str, Any]:
    """`table` as a dictionary; ``ValueError`` unless it is a table of none but `known` keys."""
    if not isinstance(table, Mapping):
        raise ValueError(f"{where} must be a table, not {table!r}")
    for key in table:
        if key not in known:
            raise ValueError(f"{where}: unknown key {key!r} (known: {', '.join(known)})")
    return dict(table)


def integer(table: Mapping[str, Any], key: str, default: int | None, low: int, high: int, where: str) -> Any:
    """An integer from `low` to `high`, or the default where the key is absent."""
    value = table.get(key, default)
    if value is default:
        return value
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"{where} {key} must be an integer from {low} to {high}, not {value!r}")
    return value


def boolean(table: Mapping[str, Any], key: str, where: str) -> bool:
    """True or false; false where the key is absent."""
    value = table.get(key, False)
    if type(value) is not bool:
        raise ValueError(f"{where} {key} must be true or false, not {value!r}")
    return value


def number(value: object, what: str) -> float:
    """A finite number; TOML has ``inf`` and ``nan``, which bound nothing."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < float("inf"):
        raise ValueError(f"{what} must be a number, not {value!r}")
    return float(value)


def text(value: object, what: str) -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{what} must be a text that is not empty, not {value!r}")
    return value


def choice(value: object, choices: Collection[str], what: str) -> str:
    """One of `choices`."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{what} must be one of {', '.join(choices)}, not {value!r}")
    return value
