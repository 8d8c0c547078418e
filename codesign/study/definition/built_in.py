"""The studies that come with the package."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parents[1] / "studies"


def built_in_studies() -> dict[str, Path]:
    """Name → file."""
    return {file.stem: file for file in sorted(FOLDER.glob("*.toml"))}


def find_study(name: str) -> Path:
    """The file of a path or of a built-in study's name; ``ValueError`` where there is neither."""
    known = built_in_studies()
    if name in known:
        return known[name]
    if not Path(name).is_file():
        raise ValueError(f"{name}: is neither a file nor a built-in study ({', '.join(known)})")
    return Path(name)
