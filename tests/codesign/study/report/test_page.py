"""The page: what it holds is the result's, whatever the names are, and it loads nothing."""

from __future__ import annotations

import base64
import gzip
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from codesign.study.report.page import page_html
from codesign.study.report.page_data import script_json
from codesign.study.report.write_report import write_report
from tests.codesign.study.report.made_up import LAYERS, NASTY, made_up

VOID = {"meta", "input", "br", "wbr", "img", "link"}


class Page(HTMLParser):
    """Elements, their attributes, and the text inside of each id."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self.open: list[tuple[str, str | None]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append((tag, dict(attrs).get("id")))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        for _, name in self.open:
            if name:
                self.texts[name] = self.texts.get(name, "") + data

    def unpacked(self, name: str) -> str:
        return gzip.decompress(base64.b64decode(self.texts[name])).decode()


@pytest.fixture(scope="module")
def plain() -> Page:
    return Page(page_html(made_up()))


def test_data_are_the_points(plain: Page) -> None:
    data = json.loads(plain.texts["data"])
    assert data["name"] == "Which array?"
    assert [point["index"] for point in data["points"]] == [*range(12)]
    first, failed, last = data["points"][0], data["points"][3], data["points"][11]
    assert first["values"]["cycles"] == [250000, "exact", None, "machine"]
    assert first["values"]["luts"] == [2088, "estimate", 0.085, "area model of 32 syntheses"]
    assert first["config"] == {"rows": 4, "columns": 4, "bus_bytes": 16, "arithmetic.accumulator_bits": 16}
    assert (failed["state"], failed["failure"], failed["values"]) == ("failed", "the training diverged", {})
    assert (last["state"], last["violations"]) == ("infeasible", ["luts must be at most 20 000"])
    assert last["choices"] == [2, 1, 1]
    measures = {one["name"]: one for one in data["measures"]}
    assert [name for name in measures if measures[name]["objective"]] == ["cycles", "luts", "accuracy"]
    assert measures["luts"]["high"] == 20000 and measures["accuracy"]["better"] == "maximize"


def test_details_are_layers_and_timelines(plain: Page) -> None:
    details = json.loads(plain.unpacked("details"))
    assert len(details) == 12
    layers, timeline = details[0]["layers"], details[0]["timeline"]
    assert layers["name"] == list(LAYERS)
    assert layers["cycles"] == [83333, 83333, 83334]
    assert layers["energy.dram"] == [250000.0] * 3
    assert timeline["units"] == ["LOAD", "CONVOLVE", "POST_PROCESS", "STORE"]
    assert timeline["start"] == [0] * 4 + [83333] * 4 + [166666] * 4
    assert details[3] == {
        "layers": {},
        "timeline": {"units": [], "layers": [], "unit": [], "layer": [], "start": [], "length": []},
    }


def test_the_head_of_an_estimate_tells_its_worst_error() -> None:
    for name in ("front-table", "points-table"):
        table = page_html(made_up()).split(f'id="{name}"')[1].split("</thead>")[0]
        assert "luts<small>LUTs, ≈\u202f±\u202f8.5 %</small>" in table
        assert table.count("±") == 1


def test_tables_need_no_script(plain: Page) -> None:
    assert re.findall(r"#(\d+)", plain.texts["front-table"]) == ["0", "1", "4", "5"]
    assert re.findall(r"#(\d+)", plain.texts["points-table"]) == [str(index) for index in range(12)]
    table = plain.texts["points-table"]
    assert all(
        text in table
        for text in ("250\u202f000", "≈\u202f2\u202f088", "91.6\u202f%", "12.92 *", "the training diverged")
    )
    assert "±\u202f8.5 %" in plain.texts["trust"] and "area model of 32 syntheses" in plain.texts["trust"]
    assert "lockstep study x.toml --point 4" in plain.texts["reproduce"]
    assert not any(f"--point {index}" in plain.texts["reproduce"] for index in (2, 8))


def test_it_loads_nothing(plain: Page) -> None:
    for tag, attributes in plain.elements:
        assert tag not in ("link", "img", "iframe", "object", "base", "form")
        assert "src" not in attributes and not any(name.startswith("on") for name in attributes)
        assert attributes.get("href", "#").startswith("#")
    policies = [a["content"] for _, a in plain.elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert len(policies) == 1 and str(policies[0]).startswith("default-src 'none';")
    assert "http" not in str(policies[0]) and "unsafe-eval" not in str(policies[0])


def test_everything_can_be_reached_and_has_a_name(plain: Page) -> None:
    ids = [a["id"] for _, a in plain.elements if "id" in a]
    assert len(ids) == len(set(ids))
    for tag, attributes in plain.elements:
        href = attributes.get("href")
        assert href is None or href[1:] in ids
        if attributes.get("role") == "img" or "scroll" in str(attributes.get("class", "")).split():
            assert attributes["aria-label"]
        if "scroll" in str(attributes.get("class", "")).split():
            assert attributes["tabindex"] == "0"  # or the keyboard could not scroll it
        if tag == "section":
            assert attributes["aria-labelledby"] in ids


def test_text_from_outside_stays_text() -> None:
    page = Page(page_html(made_up(nasty=NASTY)))
    plain = Page(page_html(made_up()))
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in plain.elements]
    data = json.loads(page.texts["data"])
    assert data["name"] == "Which array?" + NASTY
    assert data["points"][3]["failure"] == "the training diverged" + NASTY
    assert json.loads(page.unpacked("details"))[0]["layers"]["name"][0] == "conv1" + NASTY
    for name in ("points-table", "trust", "reproduce"):
        assert NASTY in page.texts[name], name


def test_json_in_a_script_element() -> None:
    value: Any = {"a": "</script><!--<script>&\u2028\u2029", "µ": [1.5, None, True]}
    text = script_json(value)
    assert json.loads(text) == value
    assert not set("<>&\u2028\u2029") & set(text)


def test_states_are_said() -> None:
    page = page_html(replace(made_up(), state="interrupted", planned=40))
    assert "The study is interrupted: 12 of 40 points are there; the same command goes on with it." in page
    empty = Page(page_html(replace(made_up(), points=())))
    assert empty.texts["points-table"] == "No point has been evaluated."
    assert empty.texts["front-table"] == "No point is on the front."


def test_the_library_is_as_it_was_published(plain: Page) -> None:
    from plotly.offline import get_plotlyjs

    assert plain.unpacked("plotly") == get_plotlyjs()


def test_all_files_or_none(tmp_path: Path) -> None:
    (tmp_path / "points.parquet").mkdir()
    with pytest.raises(OSError, match="is a folder, not a file"):
        write_report(made_up(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["points.parquet"]
    (tmp_path / "points.parquet").rmdir()
    assert write_report(made_up(), tmp_path) == tmp_path / "report.html"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["points.csv", "points.parquet", "report.html"]
