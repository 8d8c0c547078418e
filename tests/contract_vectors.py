"""The contract's vectors, as data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("vectors")


def load_vectors(name: str) -> list[dict[str, Any]]:
    """The vectors of ``{name}.json``."""
    vectors: list[dict[str, Any]] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return vectors


def group_by(vectors: list[dict[str, Any]], *fields: str) -> dict[tuple[Any, ...], list[dict[str, Any]]]:
    """Vectors that share the values of these fields."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for vector in vectors:
        groups.setdefault(tuple(vector[field] for field in fields), []).append(vector)
    return groups
