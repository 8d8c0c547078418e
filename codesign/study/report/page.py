"""The study's page: one HTML file that holds all it shows, loads nothing, and has its tables without script, too."""

from __future__ import annotations

import html
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from string import Template

from ..result import StudyResult
from .importance import importances
from .page_data import packed, page_data, page_details, script_json
from .page_tables import LEGEND, cards, notes, points_table_html, question, reproduction, trust_table

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; "
    "base-uri 'none'; form-action 'none'"
)
"""What the browser allows the page: nothing from anywhere else."""


def page_html(result: StudyResult) -> str:
    """The whole page, 2 MB of which are Plotly, packed.

    Names and sentences of the study are escaped where they are HTML, and hold no ``<`` where they are JSON.
    """
    template = Template(_asset("page.html"))
    return template.substitute(
        policy=POLICY,
        title=html.escape(result.study.name),
        state=html.escape(result.state),
        style=_asset("page.css"),
        question=question(result),
        notes=notes(result),
        cards=cards(result),
        front_table=points_table_html(result, result.front, "front-table", "No point is on the front."),
        points_table=points_table_html(result, result.points, "points-table", "No point has been evaluated."),
        placeholder=html.escape(_example(result)),
        legend=html.escape(LEGEND),
        trust=trust_table(result),
        reproduce=reproduction(result),
        data=script_json(page_data(result, importances(result))),
        details=packed(script_json(page_details(result))),
        plotly=_plotly(),
        script='(() => {\n"use strict";\n' + "\n".join(_scripts()) + "\n})();",
    )


@cache
def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return packed(get_plotlyjs())


def _example(result: StudyResult) -> str:
    first = next(iter(result.study.space), None)
    return "" if first is None else f"{first.name}={first.labels[0]}"


def _asset(name: str) -> str:
    return files("codesign.study.report").joinpath("assets", name).read_text(encoding="utf-8")


def _scripts() -> Iterable[str]:
    folder = files("codesign.study.report").joinpath("assets")
    return [_asset(name) for name in sorted(entry.name for entry in folder.iterdir()) if name.endswith(".js")]
