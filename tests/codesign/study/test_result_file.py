"""A result's file: the same result when it is read, and a sentence for whatever else is there."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from codesign.study import result_file
from codesign.study.result_file import read_result, result_from_json, result_to_json, write_result
from codesign.study.value import Value
from tests.codesign.study.report.made_up import NASTY, made_up


def test_the_same_when_it_is_read_again(tmp_path: Path) -> None:
    result = made_up(nasty=NASTY)
    study = replace(result.study, file=Path("a/b.toml"), liberty=Path("cells.lib"), clock_mhz=62.5)
    odd = Value(0.1 + 0.2, "model", 5e-324, "µ")
    first = replace(result.points[0], values={**result.points[0].values, "cycles": odd})
    result = replace(result, study=study, points=(first, *result.points[1:]))
    write_result(result, tmp_path)
    again = read_result(tmp_path)
    assert again.study == study  # a dataclass with an equality of its own
    assert again.points[0].values["cycles"] == odd
    assert again.points[0].values["luts"].number == 90.5 * 16 + 640
    assert type(again.points[1].values["cycles"].number) is int
    for field in ("state", "planned", "provenance", "notes"):
        assert getattr(again, field) == getattr(result, field)
    for one, other in zip(again.points, result.points, strict=True):
        for field in fields(other):
            assert getattr(one, field.name) == getattr(other, field.name), field.name
    assert [point.index for point in again.front] == [0, 1, 4, 5]
    assert read_result(tmp_path / "result.json").study == study


def _at(*path: Any, value: Any) -> Callable[[Any], None]:
    def change(table: Any) -> None:
        for key in path[:-1]:
            table = table[key]
        if value is None:
            del table[path[-1]]
        else:
            table[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (_at("format", value=2), "is not a study's result of format 1"),
        (_at("state", value="done"), "state must be one of complete, interrupted, running, not 'done'"),
        (_at("front", value=[0]), "front must be the indices of the points on the front, not [0]"),
        (_at("points", value={}), "result.points must be a list, not {}"),
        (_at("points", 2, "index", value="2"), "result.points[2].index must be an integer, not '2'"),
        (_at("points", 2, "index", value=True), "result.points[2].index must be an integer, not True"),
        (_at("points", 2, "index", value=0), "points must have different indices"),
        (_at("points", 1, "values", "luts", "number", value="9"), "points[1].values.luts.number must be a number"),
        (_at("points", 1, "values", "luts", "kind", value="sure"), "luts.kind must be one of exact, estimate, model"),
        (_at("points", 1, "values", "lutz", value={"number": 1}), "points[1].values: unknown measure 'lutz'"),
        (_at("points", 1, "point", "config", "rows", value=65), "config is no accelerator: config: rows must be an"),
        (_at("points", 1, "point", "choices", "dataflow", value="sideways"), "points[1].dataflow must be one of the"),
        (_at("points", 1, "point", "choices", "dataflow", value=None), "points[1] must choose in array, dataflow"),
        (_at("points", 0, "timeline", 0, value=["LOAD", "a", 1]), "timeline[0] must be 4 values, not 3"),
        (_at("points", 0, "colour", value=1), "result.points[0] must not have the key 'colour' (known: index, "),
        (_at("points", 0, "index", value=None), "result.points[0] must have the key 'index'"),
        (_at("study", "objectives", 0, "direction", value="up"), "objective must be a known measure and a direction"),
        (_at("study", "search", "sampler", value="luck"), "sampler must be one of grid, nsga2, nsga3, tpe, gp"),
        (_at("study", "space", 0, "labels", value=[]), "dimension 'array' must have a label for each choice"),
    ],
)
def test_what_is_refused(change: Callable[[Any], None], sentence: str) -> None:
    table = json.loads(result_to_json(made_up()))
    change(table)
    with pytest.raises(ValueError, match=r"^here: [^\n]+$") as caught:
        result_from_json(json.dumps(table), "here")
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is not a study's result: Expecting value"),
        ("[" * 100_000, "is nested too deeply"),
        ('{"format": NaN}', "NaN is no number of JSON"),
        ('{"format": 1e999}', "'1e999' is too large a number"),
        ('{"format": 1, "format": 1}', "the key 'format' is there twice"),
        ("7", "is not a study's result of format 1"),
    ],
)
def test_what_is_no_result(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=r"^here: ") as caught:
        result_from_json(text, "here")
    assert sentence in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"result.json: No such file or directory; `lockstep study` writes it"):
        read_result(tmp_path)
    (tmp_path / "result.json").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="is not a UTF-8 text file"):
        read_result(tmp_path)
    monkeypatch.setattr(result_file, "LARGEST", 1)
    with pytest.raises(ValueError, match="must have at most 1 bytes, not 2"):
        read_result(tmp_path)


def test_numbers_that_json_does_not_have() -> None:
    result = made_up()
    point = replace(result.points[0], values={"luts": Value(float("nan"))})
    with pytest.raises(ValueError, match="of study 'Which array\\?' holds a number that is not finite"):
        result_to_json(replace(result, points=(point,)))
