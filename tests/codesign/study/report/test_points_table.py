"""points.csv and points.parquet: the points' own numbers, by readers that are not ours."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pandas
import pytest

from codesign.study.report.write_report import write_report
from codesign.study.result import StudyResult
from tests.codesign.study.report.made_up import NASTY, made_up

SIZES = (4,) * 4 + (8,) * 4 + (16,) * 4
STATES = ["front", "front", "feasible", "failed"] + ["front"] * 2 + ["feasible"] * 2 + ["infeasible"] * 4


def test_both_files_have_every_point(tmp_path: Path) -> None:
    result = made_up()
    write_report(result, tmp_path)
    with (tmp_path / "points.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    frame = pandas.read_parquet(tmp_path / "points.parquet")
    assert [int(row["index"]) for row in rows] == frame["index"].tolist() == [*range(12)]
    assert [row["state"] for row in rows] == frame["state"].tolist() == STATES
    assert [row["choice.array"] for row in rows] == frame["choice.array"].tolist() == [f"{n}×{n}" for n in SIZES]
    assert frame["choice.arithmetic.accumulator_bits"].tolist() == [16, 24] * 6
    assert frame["config.rows"].tolist() == list(SIZES)
    for index, row in enumerate(rows):
        if index == 3:
            assert (row["cycles"], row["cycles.kind"], row["failure"]) == ("", "", "the training diverged")
            continue
        slower = 1000 * (index % 4 >= 2)
        assert float(row["cycles"]) == frame["cycles"][index] == 4_000_000 // SIZES[index] ** 2 + slower
        assert float(row["luts"]) == frame["luts"][index] == 90.5 * SIZES[index] ** 2 + 40 * (24 if index % 2 else 16)
        assert (row["luts.kind"], float(row["luts.error"])) == ("estimate", 0.085)
        assert row["cycles.error"] == "" and row["command"] == f"lockstep study x.toml --point {index}"
    assert rows[8]["violations"] == "luts must be at most 20 000"
    assert frame.columns.tolist() == list(rows[0])


@pytest.mark.parametrize(
    "result", [replace(made_up(), points=()), made_up(nasty=NASTY)], ids=["no points", "odd names"]
)
def test_other_studies(result: StudyResult, tmp_path: Path) -> None:
    write_report(result, tmp_path)
    frame = pandas.read_parquet(tmp_path / "points.parquet")
    assert len(frame) == len(result.points)
    with (tmp_path / "points.csv").open(encoding="utf-8", newline="") as file:
        assert [row["index"] for row in csv.DictReader(file)] == [str(point.index) for point in result.points]
