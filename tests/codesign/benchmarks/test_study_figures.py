"""What the rows of `lockstep benchmark study` that run studies count; the figures themselves are for the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from codesign.benchmarks.study import equality, rows, spaces, speed, training
from codesign.study import run_study
from codesign.study.definition import points
from codesign.study.result_file import RESULT_NAME, read_result
from tests.codesign.study.engine.made_up import MadeUp, study


def test_the_spaces_are_as_large_as_the_targets_say() -> None:
    assert len(set(spaces.ARRAYS)) == len(spaces.ARRAYS) == 34
    hardware, trained = list(points(spaces.hardware_study())), list(points(spaces.training_study()))
    for every in (hardware, trained):
        assert len(every) == 204 and len({point.config.arithmetic for point in every}) == 6
    assert {point.recipe for point in trained} == {"qat"} and {point.recipe for point in hardware} == {None}


def test_a_result_is_known_by_its_numbers_and_not_by_who_found_them(tmp_path: Path) -> None:
    """Equal for one and two workers and from the store; another in a digit of one number, or in one file."""
    digests = set()
    for name, workers in (("a", 1), ("b", 2), ("a", 2)):
        result = run_study(study(), tmp_path / name, workers=workers, evaluator=MadeUp(log=tmp_path / "log"))
        digests.add(equality.found(result, tmp_path / name))
    assert len(digests) == 1
    file = tmp_path / "a" / RESULT_NAME
    told = json.loads(file.read_text(encoding="utf-8"))
    told["points"][3]["values"]["cycles"]["number"] += 1
    file.write_text(json.dumps(told), encoding="utf-8")
    assert equality.found(read_result(file), tmp_path / "a") not in digests
    (tmp_path / "b" / "points" / "0002" / "config.toml").write_text("rows = 5", encoding="utf-8")
    assert equality.found(result, tmp_path / "b") not in digests
    with pytest.raises(RuntimeError, match="has found nothing"):
        equality.found(result, tmp_path / "absent")


def test_a_row_counts_different_results_or_says_why_there_are_none() -> None:
    equal, other = equality._row("x", lambda: ["a", "a"]), equality._row("x", lambda: ["a", "b", "a"])
    assert [(one["value"], one["holds"]) for one in (equal, other)] == [(1, True), (2, False)]

    def missing() -> list[str]:
        raise RuntimeError("no cluster")

    assert equality._row("x", missing)["value"] == "not run: no cluster"
    assert equality._row("x", missing)["holds"] is None


def test_a_process_tells_its_peak(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(speed, "Path", lambda name: tmp_path / "status")
    (tmp_path / "status").write_text("VmPeak:  9000 kB\nVmHWM:\t  2048 kB\nVmRSS:  100 kB\n")
    assert speed.peak_memory(1) == 2 << 20
    (tmp_path / "status").write_text("VmPeak:  9000 kB\n")
    with pytest.raises(OSError, match="does not tell"):
        speed.peak_memory(1)


def test_a_part_whose_package_is_missing_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> list[dict[str, Any]]:
        raise ModuleNotFoundError("No module named 'torch'")

    for part in (rows.area, rows.correlation):
        monkeypatch.setattr(part, "rows", lambda *given: [])
    monkeypatch.setattr(rows, "PARTS", {"speed": lambda: [{"name": "there"}], "training": missing})
    there, absent = rows.rows()
    assert there == {"name": "there"} and absent["holds"] is None
    assert (absent["name"], absent["value"]) == ("study: training", "not run: No module named 'torch'")


def test_trainings_and_the_repetition_are_counted() -> None:
    tiny = spaces.training_study("digits8", arrays=2, widths=1, recipe="ptq", float_epochs=0)
    found = {one["name"].rpartition(": ")[2]: one for one in training.rows(tiny)}
    assert list(found) == ["2 points, trained on digits8, 2 workers", "trainings", "again", "tasks computed again"]
    assert [found[name]["value"] for name in ("trainings", "tasks computed again")] == [1, 0]
    assert all(one["holds"] for name, one in found.items() if name != "again")
