"""``lockstep study … --point N``: equal to what the folder says, or told where it is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from codesign.cli import FAILS, HOLDS, main
from codesign.execution.execution import Execution
from codesign.study.definition import points, read_study
from codesign.study.engine.store import Store
from codesign.study.engine.task import Outcome
from codesign.study.evaluation import StudyEvaluator, rerun
from codesign.study.result import PointResult, StudyResult
from codesign.study.result_file import write_result
from codesign.study.value import Value
from emulator.machine.result import Result
from tests.codesign.command import fails, runs
from tests.codesign.study.evaluation.test_predictions import synthesized

TEXT = """
[network]
builtin = "autoencoder"
[space]
rows = [4, 8]
[objectives]
cycles = "minimize"
luts = "minimize"
"""


def written(folder: Path, text: str = TEXT) -> StudyResult:
    """A study of two points in a folder, as `run_study` writes it."""
    file = folder / "two.toml"
    file.write_text(text)
    study = read_study(file)
    found = []
    store = Store(folder / "store")
    evaluator = StudyEvaluator(study).informed(store)
    for index, at in enumerate(points(study)):
        one = rerun(study, at, syntheses=evaluator.syntheses)
        found.append(PointResult(index, at, one.values, layers=one.details.layers))
    result = StudyResult(study, tuple(found), planned=2)
    write_result(result, folder)
    return result


def test_a_point_is_the_same_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = written(tmp_path)
    told = runs(capsys, ["study", tmp_path / "two.toml", "-o", tmp_path, "--point", "1"])
    assert told["holds"] and told["mismatches"] is None and told["choices"] == {"rows": 8}
    rows = {row["name"]: row for row in told["rows"]}  # type: ignore[attr-defined]
    cycles = result.points[1].values["cycles"].number
    assert rows["cycles"] == {"name": "cycles", "study": cycles, "anew": cycles}
    # A study's file may be somewhere else, and be called otherwise.
    moved = tmp_path / "moved.toml"
    moved.write_text('name = "two"' + TEXT)
    assert main(["study", str(moved), "-o", str(tmp_path), "--point", "1"]) == HOLDS


@pytest.mark.parametrize(
    ("change", "name", "study"),
    [
        (lambda point: {"values": {**point.values, "cycles": Value(7)}}, "cycles", 7),
        (lambda point: {"layers": point.layers[1:]}, "layers that differ", 0),
        (lambda point: {"failure": "it was too cold"}, "failure", "it was too cold"),
    ],
)
def test_what_differs_is_told_and_the_status_is_1(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[PointResult], dict[str, Any]],
    name: str,
    study: object,
) -> None:
    result = written(tmp_path)
    points = (result.points[0], replace(result.points[1], **change(result.points[1])))
    write_result(replace(result, points=points), tmp_path)
    told = runs(capsys, ["study", tmp_path / "two.toml", "-o", tmp_path, "--point", "1"], status=FAILS)
    (row,) = [row for row in told["rows"] if row["name"] == name]  # type: ignore[attr-defined]
    assert row["study"] == study != row["anew"] and not told["holds"]
    assert main(["study", str(tmp_path / "two.toml"), "-o", str(tmp_path), "--point", "0"]) == HOLDS


def test_the_rtl_is_run_too_where_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run_rtl(self: Execution, on_progress: object = None) -> Result:
        """The machine stands for the RTL, with a cycle too many for 8 rows."""
        assert self.machine is not None
        self.rtl = replace(self.machine, cycles=self.machine.cycles + (self.config.rows == 8))
        return self.rtl

    monkeypatch.setattr(Execution, "run_rtl", run_rtl)
    result = written(tmp_path)
    at = ["study", tmp_path / "two.toml", "-o", tmp_path, "--rtl", "--point"]
    told = runs(capsys, [*at, "0"])
    assert told["holds"] and told["rtl_cycles"] == result.points[0].values["cycles"].number
    told = runs(capsys, [*at, "1"], status=FAILS)
    assert told["mismatches"]["study_rtl_cycles"] == 1  # type: ignore[index]


def test_areas_are_predicted_from_what_the_study_began_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = TEXT + '[synthesis]\nmodel = "store"\n'
    (tmp_path / "two.toml").write_text(text)
    first, second = points(read_study(tmp_path / "two.toml"))
    synthesized(Store(tmp_path / "store"), first.config, 70_000)
    written(tmp_path, text)
    synthesized(Store(tmp_path / "store"), second.config, 90_000)
    assert runs(capsys, ["study", tmp_path / "two.toml", "-o", tmp_path, "--point", "1"])["holds"]


def test_what_is_no_point_of_the_study_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "two.toml"
    file.write_text(TEXT)
    fails(capsys, ["study", file, "-o", tmp_path, "--point", "1"], "result.json", "`lockstep study` writes it")
    written(tmp_path)
    fails(capsys, ["study", file, "-o", tmp_path, "--point", "2"], "--point must be one of the 2 points of", "not 2")
    file.write_text(TEXT.replace("[4, 8]", "[4, 5]"))
    fails(capsys, ["study", file, "-o", tmp_path, "--point", "1"], "has the result of another study than")


def test_a_point_that_was_synthesized_is_synthesized_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also off the front, where a point comes to be because of its synthesis."""
    text = TEXT + '[synthesis]\nconfirm = "front"\n'
    result = written(tmp_path, text)
    values = {**result.points[1].values, "luts": Value(123, source="Yosys")}
    write_result(replace(result, points=(result.points[0], replace(result.points[1], values=values))), tmp_path)
    asked = []

    def confirmation(self: StudyEvaluator, point: object, done: object) -> dict[str, Outcome]:
        asked.append(point)
        return {}

    monkeypatch.setattr(StudyEvaluator, "confirmation", confirmation)
    for index, times in ((0, 0), (1, 1)):
        main(["study", str(tmp_path / "two.toml"), "-o", str(tmp_path), "--point", str(index)])
        assert len(asked) == times
