"""`write_outputs`: all that people read of a study, in its folder; what is there already stays as it is."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

from ...files import write_text
from ..report.write_report import REPORT_NAMES, write_report
from ..result import StudyResult
from ..result_file import RESULT_NAME, result_to_json, write_result
from .dashboard import write_dashboard
from .folder import DASHBOARD, STUDY, write_points
from .store import Store
from .task import Outcome

KIND = "written"
"""Of the entries of the store that tell which files were written of a result."""
CODE = Path(__file__).parents[1]


def write_outputs(
    folder: Path, store: Store, result: StudyResult, text: str | None, files: Mapping[int, Mapping[str, bytes]]
) -> None:
    """Write the study's file, the points' folders, result, page, tables and the dashboard's storage.

    text : of the study's file; None where it has none
    files : as of `write_points`

    Each file is written whole or not at all. A result that finds what the one in the folder has found, and that only
    its time and its workers tell from it, leaves that one's result, page and tables.
    """
    if text is not None and _content(folder / STUDY) != text.encode():
        write_text(folder / STUDY, text)
    write_points(folder, result, files)
    digest = result_digest(result)
    written = store.get(KIND, digest)
    if written is None or written.values != _digests(folder):
        write_result(result, folder)
        write_report(result, folder)
        store.put(KIND, digest, Outcome(_digests(folder)))
    write_dashboard(result, digest, folder / DASHBOARD)


def result_digest(result: StudyResult) -> str:
    """SHA-256 in hexadecimal of what was found, and of the code that shows it; not of when, where and by whom."""
    points = tuple(replace(point, cached=False) for point in result.points)
    found = result_to_json(replace(result, points=points, provenance={}))
    return hashlib.sha256(f"{_code()}\n{found}".encode()).hexdigest()


@cache
def _code() -> str:
    """Digest of the code and the assets of studies."""
    digest = hashlib.sha256()
    for file in sorted(CODE.rglob("*")):
        if file.is_file() and file.suffix not in (".pyc", ".toml"):
            digest.update(file.relative_to(CODE).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def _digests(folder: Path) -> dict[str, str | None]:
    """File → SHA-256 in hexadecimal, or None where it cannot be read."""
    contents = {name: _content(folder / name) for name in (RESULT_NAME, *REPORT_NAMES)}
    return {name: None if one is None else hashlib.sha256(one).hexdigest() for name, one in contents.items()}


def _content(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except OSError:
        return None
