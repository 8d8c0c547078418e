"""A study's folder: what is in it, whether it may be one, and how the points' own folders are written."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from emulator.config import AcceleratorConfig

from ...files import naming, replacing
from ..report.write_report import REPORT_NAMES
from ..result import StudyResult
from ..result_file import RESULT_NAME
from .lock import LOCK

STORE, STUDY, POINTS, DASHBOARD = "store", "study.toml", "points", "optuna.db"
NAMES = (STORE, STUDY, RESULT_NAME, POINTS, DASHBOARD, LOCK, *REPORT_NAMES)
CONFIG = "config.toml"


def check_study_folder(folder: Path, file: Path | None) -> None:
    """Raise ``OSError`` naming the folder unless it is a study's, empty, or can be made, and can be written.

    file : of the study, which may be what is in the folder
    """
    target = folder.resolve()
    there = next(place for place in (target, *target.parents) if place.exists())
    if not there.is_dir():
        raise NotADirectoryError(20, f"{there} is a file, not a folder", str(folder))
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(13, "cannot be written: permission denied", str(folder))
    if there == target and not (target / STORE).is_dir():
        # Without its store or a result a folder is nobody's, and a `points` or `study.toml` in it somebody else's.
        own = NAMES if (target / RESULT_NAME).is_file() else (LOCK,)
        own = (*own, STUDY) if file is not None and file.resolve() == target / STUDY else own
        foreign = sorted(entry.name for entry in target.iterdir() if entry.name not in own)
        if foreign:
            raise FileExistsError(17, f"holds {foreign[0]!r} and no study; give an empty or a new folder", str(folder))


def write_points(folder: Path, result: StudyResult, files: Mapping[int, Mapping[str, bytes]]) -> None:
    """Write a folder for each point, each file of it whole or not at all; what has its content stays.

    files : index → name → bytes, beside the point's config
    """
    wanted = {}
    for point in result.points:
        name = f"{point.index:04d}"
        wanted[name] = {CONFIG: config_toml(point.point.config).encode(), **files.get(point.index, {})}
    with naming(folder / POINTS):
        (folder / POINTS).mkdir(exist_ok=True)
        for name, contents in wanted.items():
            _fill(folder / POINTS / name, contents)
        for entry in (folder / POINTS).iterdir():
            if re.fullmatch(r"\d{4,}", entry.name) and entry.name not in wanted and entry.is_dir():
                shutil.rmtree(entry)  # of an earlier study in this folder, which had more points


def _fill(folder: Path, contents: Mapping[str, bytes]) -> None:
    folder.mkdir(exist_ok=True)
    for entry in folder.iterdir():
        if entry.name not in contents and entry.is_file():
            entry.unlink()
    for name, data in contents.items():
        file = folder / name
        if not file.is_file() or file.read_bytes() != data:
            with replacing(file) as temporary:
                temporary.write_bytes(data)


def config_toml(config: AcceleratorConfig) -> str:
    """The file that `emulator.config.load_config` reads as this config."""
    table = config.as_dict()
    arithmetic = table.pop("arithmetic")
    # Numbers, booleans and plain words are the same in JSON and TOML.
    lines = [f"{name} = {json.dumps(value)}" for name, value in table.items()]
    lines += ["", "[arithmetic]", *(f"{name} = {json.dumps(value)}" for name, value in arithmetic.items())]
    return "\n".join(lines) + "\n"
