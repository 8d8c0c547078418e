"""``lockstep study`` as a user has it: what it prints and writes, exit status, and one sentence for what is wrong."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from codesign.cli import FAILS, HOLDS, main
from codesign.commands import study as command
from codesign.study.engine import run as engine
from codesign.study.result_file import read_result
from tests.codesign.command import fails, runs
from tests.codesign.study.engine.made_up import MadeUp, study

TINY = """
name = "tiny"
[network]
file = "model.onnx"
[space]
rows = [4, 8]
[objectives]
cycles = "minimize"
scratchpad_bytes = "minimize"
"""


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> dict[str, str | float]:
    """The command runs the made-up study; what its tasks do beside their numbers is the table that the test gets."""
    behaviour: dict[str, str | float] = {}
    monkeypatch.setattr(command, "find_study", Path)
    monkeypatch.setattr(command, "read_study", lambda file: study())
    real = engine.run_study
    monkeypatch.setattr(command, "run_study", lambda *given: real(*given, evaluator=MadeUp(behaviour)))
    return behaviour


def test_it_prints_the_front_and_writes_the_folder(
    made_up: dict[str, str | float], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made_up["run-4-4-12"] = "fail"
    assert main(["study", "x", "-o", str(tmp_path / "s"), "--workers", "1"]) == HOLDS
    out, err = capsys.readouterr()
    assert err == ""  # no terminal: quiet, where it is short
    result = read_result(tmp_path / "s")
    assert "point 0 failed: run-4-4-12 must not be, but is" in out
    assert f"36 of 36 points, {len(result.front)} on the front, 1 failed" in out
    assert f"the page is {tmp_path / 's' / 'report.html'}" in out
    names = {"result.json", "report.html", "points.csv", "points.parquet", "optuna.db", "points", "store", ".lock"}
    assert {path.name for path in (tmp_path / "s").iterdir()} == names
    again = runs(capsys, ["study", "x", "-o", tmp_path / "s", "--workers", "1"])
    assert again["front"] == [point.index for point in result.front]
    assert again["provenance"]["tasks computed"] == "0"  # type: ignore[index]


def test_where_every_point_fails_the_status_is_1(made_up: dict[str, str | float], tmp_path: Path) -> None:
    made_up["train"] = "fail"
    assert main(["study", "x", "-o", str(tmp_path / "s"), "--workers", "1", "--json", str(tmp_path / "j")]) == FAILS
    assert json.loads((tmp_path / "j").read_text())["front"] == []


def test_a_folder_that_cannot_be_is_one_sentence(
    made_up: dict[str, str | float], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.tex").write_text("mine")
    fails(capsys, ["study", "x", "-o", foreign], str(foreign), "holds 'thesis.tex' and no study")
    assert [path.name for path in foreign.iterdir()] == ["thesis.tex"]
    for name in ("points", "study.toml"):  # names that a study's folder has
        another = tmp_path / f"with {name}"
        (another / name).mkdir(parents=True)
        fails(capsys, ["study", "x", "-o", another], f"holds '{name}' and no study")
    fails(capsys, ["study", "x", "-o", foreign / "thesis.tex"], "is a file, not a folder")
    fails(capsys, ["study", "x", "-o", "/proc/study"], "/proc/study")
    fails(capsys, ["study", "x", "-o", tmp_path / "s", "--rtl"], "--rtl needs --point")
    fails(capsys, ["study", "x", "-o", tmp_path / "s", "--point", 1, "--workers", 2], "leave out --workers")
    assert not (tmp_path / "s").exists()


def test_a_full_disk_is_one_sentence_and_what_was_finished_is_kept(tmp_path: Path) -> None:
    """A file-size limit stands for it, which the result's file exceeds, and no outcome does."""
    code = (
        "import resource, sys; from pathlib import Path; from codesign.commands import study as command;"
        "from codesign.study.engine import run; from tests.codesign.study.engine.made_up import MadeUp, study;"
        "real = run.run_study; command.find_study, command.read_study = Path, lambda file: study();"
        "command.run_study = lambda *given: real(*given, evaluator=MadeUp());"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)); from codesign.cli import main;"
        f"sys.exit(main(['study', 'x', '-o', {str(tmp_path / 's')!r}, '--workers', '1']))"
    )
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"lockstep: error: {tmp_path / 's' / 'result.json'}: File too large\n"
    assert not list((tmp_path / "s").rglob("*.part")) and resource.getrlimit(resource.RLIMIT_FSIZE) == before
    result = engine.run_study(study(), tmp_path / "s", workers=1, evaluator=MadeUp())
    assert result.state == "complete" and all(point.cached for point in result.points)
