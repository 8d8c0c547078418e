"""`write_report`: the page and the tables of a study, in its folder."""

from __future__ import annotations

from contextlib import ExitStack
from os import PathLike
from pathlib import Path

from ...files import replacing
from ..result import StudyResult
from .page import page_html
from .points_table import points_table, write_csv, write_parquet

REPORT_NAMES = PAGE_NAME, CSV_NAME, PARQUET_NAME = "report.html", "points.csv", "points.parquet"


def write_report(result: StudyResult, folder: str | PathLike[str]) -> Path:
    """Write ``report.html``, ``points.csv`` and ``points.parquet`` in `folder`, each whole; none where one fails.

    Returns the page's path. Raises ``OSError`` naming the file that cannot be written.
    """
    table, page = points_table(result), page_html(result)
    path = Path(folder)
    with ExitStack() as stack:
        csv, parquet, html = (
            stack.enter_context(replacing(path / name)) for name in (CSV_NAME, PARQUET_NAME, PAGE_NAME)
        )
        write_csv(table, csv)
        write_parquet(table, parquet)
        html.write_text(page, encoding="utf-8")
    return path / PAGE_NAME
