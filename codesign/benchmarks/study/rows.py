"""``lockstep benchmark study``: all its rows, part by part."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...files import check_writable
from ..qat_widths import check_suffix
from . import correlation


def rows(plot: Path | None = None, cases: Path | None = None) -> list[dict[str, Any]]:
    """The table's rows: {"name", "value", "unit", "target", "holds"}; takes some minutes.

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
    return correlation.rows(plot, None if cases is None else cases / "tflite")
