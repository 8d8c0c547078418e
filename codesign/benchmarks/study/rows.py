"""``lockstep benchmark study``: all its rows, part by part."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...files import check_writable
from .. import area
from ..qat_widths import check_suffix
from ..rows import row
from . import correlation, equality, speed, training

PARTS = {"speed": speed.rows, "equality": equality.rows, "training": training.rows}
"""What runs studies: name → its rows; where a package for it is missing, that is its row's value."""


def rows(plot: Path | None = None, cases: Path | None = None) -> list[dict[str, Any]]:
    """The table's rows: {"name", "value", "unit", "target", "holds"}; takes a quarter of an hour.

    plot : a file, ``.png`` or ``.svg``, for the cycles of other people's tools against the machine's
    cases : a folder that holds ``tflite/``, MLPerf Tiny's files, for Vela to estimate too

    Raises, before anything is measured, ``ValueError`` naming a folder that is none, and an error naming a plot that
    cannot be written.
    """
    if plot is not None:
        check_suffix(plot)
        check_writable(plot)
    if cases is not None and not cases.is_dir():
        raise ValueError(f"{cases}: must be a folder")
    found = area.rows() + correlation.rows(plot, None if cases is None else cases / "tflite")
    for name, measure in PARTS.items():
        try:
            found += measure()
        except ModuleNotFoundError as error:
            found.append(row(f"study: {name}", f"not run: {error}", ""))
    return found
