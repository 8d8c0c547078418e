"""TOML files that nobody vouches for: configs, energy tables, studies."""

from __future__ import annotations

import tomllib
from os import PathLike
from pathlib import Path
from typing import Any

MOST_BYTES = 1 << 20
MOST_DEPTH = 32
"""Tables and arrays inside each other."""


def read_toml(path: str | PathLike[str]) -> dict[str, Any]:
    """The tables of a TOML file of at most `MOST_BYTES`, nested at most `MOST_DEPTH` times.

    Raises ``ValueError``, one sentence with the file: it cannot be read, is too large, no UTF-8 text or no TOML.
    """
    file = Path(path)
    try:
        with file.open("rb") as opened:
            content = opened.read(MOST_BYTES + 1)
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror}") from None
    if len(content) > MOST_BYTES:
        raise ValueError(f"{file}: must be a TOML file of at most {MOST_BYTES} bytes")
    try:
        table = tomllib.loads(content.decode("utf-8"))
    except UnicodeDecodeError:
        raise ValueError(f"{file}: is not a UTF-8 text file") from None
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{file}: is not TOML: {error}") from None
    except RecursionError:
        raise _too_deep(file) from None
    except ValueError:  # of Python's own conversion
        raise ValueError(f"{file}: must not hold an integer of thousands of digits") from None
    if _deeper(table, MOST_DEPTH):
        raise _too_deep(file)
    return table


def _too_deep(file: Path) -> ValueError:
    return ValueError(f"{file}: must not have more than {MOST_DEPTH} tables and arrays inside each other")


def _deeper(table: dict[str, Any], depth: int) -> bool:
    """Whether there are values more than `depth` tables and arrays deep."""
    level: list[Any] = [table]
    for _ in range(depth):
        inner = [part for value in level for part in (value.values() if isinstance(value, dict) else value)]
        level = [value for value in inner if isinstance(value, dict | list)]
    return bool(level)
