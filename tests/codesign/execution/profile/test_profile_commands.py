"""The layers' profile in what ``run`` and ``simulate`` print."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from codesign.cli import main
from codesign.execution.profile import Bound, LayerProfile, profile_table
from tests.codesign.command import runs
from tests.codesign.models import small_config, small_model


def test_run_prints_each_layers_part(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    arguments = ["run", small_model(tmp_path), "--config", small_config(tmp_path), "--samples", 2]
    result = runs(capsys, arguments)
    rows = {row["name"]: row for row in result["profile"]["layers"]}
    assert (result["profile"]["of"], result["profile"]["sample"]) == ("machine", 0)
    assert list(rows) == ["conv", "pool", "fc"]  # flatten moves nothing
    assert sum(row["cycles"] for row in rows.values()) == result["cycles_per_sample"][0]
    read = sum(row["bytes_read"] + row["bytes_fetched"] for row in rows.values())
    assert 2 * read == result["telemetry"]["bytes_read"]
    assert 2 * sum(row["bytes_written"] for row in rows.values()) == result["telemetry"]["bytes_written"]
    assert rows["conv"]["macs"] == 4 * 6 * 6 * 2 * 3 * 3 and rows["fc"]["macs"] == 5 * 36 and rows["pool"]["macs"] == 0
    assert rows["conv"]["shape"] == [4, 6, 6] and rows["conv"]["operator"] == "Convolution"
    assert main([str(argument) for argument in arguments]) == 0
    lines = capsys.readouterr().out.splitlines()
    (title,) = [index for index, line in enumerate(lines) if line.startswith("Each layer's part of the machine's run")]
    shown = [line.split()[0] for line in lines[title + 4 : title + 10] if line.startswith((" conv", " pool", " fc"))]
    assert shown == ["conv", "pool", "fc"]
    for word in ("bounded by", "cycles", "share", "utilization", "bus bytes"):
        assert word in lines[title + 2]


def test_run_without_an_accelerator_has_no_profile(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "profile" not in runs(capsys, ["run", small_model(tmp_path), "--samples", 1])
    assert main(["run", str(small_model(tmp_path)), "--samples", "1"]) == 0
    assert "bounded by" not in capsys.readouterr().out


def row(utilization: float, macs: int) -> LayerProfile:
    bound = Bound("shape", "array", 0.7, 0.25)
    return LayerProfile(
        "sum", ("conv", "sum"), "Convolution + Add", (1,), 5, 1000, 3000, macs, utilization, 16, 8, 160, {}, {}, bound
    )


def test_table_of_a_profile() -> None:
    table = profile_table([row(0.5, 9), row(1.0, 9), row(0, 0)], "t")
    cells = ("sum", "shape: 25 % of array", "2\u202f000", "33.3 %")
    assert table.rows == [(*cells, "50.0 %", "184"), (*cells, "100.0 %", "184"), (*cells, "–", "184")]


def test_a_row_of_a_profile_is_one_line_of_80_characters() -> None:
    """Names of 16 characters, the longest text of a bound; a longer name is what is broken."""
    bound = Bound("compute", "post_processing", 1.0)
    longest = replace(row(0.5, 9), name="block9.pointwise", bound=bound, start=0, end=99_999, bytes_read=999_000)
    for name, lines in ((longest.name, 1), ("block9.pointwise.more", 2)):
        text = io.StringIO()
        Console(file=text, width=80).print(profile_table([replace(longest, name=name)], "").rich())
        shown = [line for line in text.getvalue().splitlines()[3:] if line.strip()]
        assert len(shown) == lines and "compute: post 100 %" in shown[0] and "99\u202f999" in shown[0], shown
