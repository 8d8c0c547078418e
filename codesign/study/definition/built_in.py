"""The studies that come with the package."""

from __future__ import annotations

from pathlib import Path

from .study import Study

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


def reference(study: Study) -> str:
    """What `find_study` finds a study by: a built-in one's name, another one's file; its name where it has neither."""
    if study.file is None:
        return study.name
    return study.file.stem if study.file.parent == FOLDER.resolve() else str(study.file.absolute())
