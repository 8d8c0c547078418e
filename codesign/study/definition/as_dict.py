"""`study_as_dict`: a study for JSON."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from .study import Study


def study_as_dict(study: Study) -> dict[str, Any]:
    """All of a study as plain tables; paths as text."""
    made: dict[str, Any] = _plain(asdict(study))
    return made


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return str(value) if isinstance(value, Path) else value
