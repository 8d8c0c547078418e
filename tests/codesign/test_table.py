"""Tables in the terminal and in a page; JSON."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from rich.console import Console

from codesign.console import to_json
from codesign.table import Table, cell_text, percent


def test_cells() -> None:
    assert [cell_text(value) for value in (None, True, False, 12345, "x", 7)] == [
        "–", "yes", "no", "12\u202f345", "x", "7",
    ]  # fmt: skip
    assert percent(0.97222) == "97.2 %"


def test_a_table_shows_the_same_cells_in_both_places() -> None:
    table = Table("Title", ("layer", "count"))
    table.add("conv[1]", 1000)
    with pytest.raises(ValueError, match="cells must be 2"):
        table.add("conv")
    console = Console(width=60, file=io.StringIO())
    console.print(table.rich())
    text = console.file.getvalue()
    assert "conv[1]" in text and "1\u202f000" in text
    assert "<td>conv[1]</td>" in table.html() and '<td class="number">1\u202f000</td>' in table.html()


def test_html_is_escaped() -> None:
    table = Table("Title", ("<b>",))
    table.add("<script>&")
    assert "<script>" not in table.html() and "&lt;script&gt;&amp;" in table.html() and "&lt;b&gt;" in table.html()


def test_json_of_numpy_values_with_lists_on_one_line() -> None:
    value = {"a": np.array([[1, -2], [3, 4]]), "b": np.float64(0.5), "c": "[\n1 ]", "d": [], "e": [True, None]}
    text = to_json(value)
    assert json.loads(text) == {"a": [[1, -2], [3, 4]], "b": 0.5, "c": "[\n1 ]", "d": [], "e": [True, None]}
    assert "[ 1, -2 ]" in text


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_has_no_nan(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        to_json({"a": value})


def test_json_of_anything_else_is_an_error() -> None:
    with pytest.raises(TypeError, match="not set"):
        to_json({"a": {1}})
