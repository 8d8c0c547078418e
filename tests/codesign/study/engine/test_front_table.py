"""The front in a terminal: a column for each dimension where they fit, all in one where not, no number broken."""

from __future__ import annotations

import re
from itertools import takewhile
from pathlib import Path

import pytest

from codesign.commands.study import show
from codesign.console import Output
from codesign.study.definition.study import Constraint, Search
from codesign.study.engine.run import run_study
from tests.codesign.study.engine.made_up import MadeUp, study


@pytest.mark.parametrize("width, wide", [(100, True), (60, False)])
def test_a_narrow_terminal_has_the_choices_in_one_column(
    width: int, wide: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    result = run_study(study(Search(trials=1)), tmp_path / "s", workers=1, evaluator=MadeUp())
    show(Output(None), result, tmp_path / "s")
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= width for line in lines[:4])
    assert ("choices" in lines[2].split()) is not wide
    first = re.split(" {2,}", lines[4].strip())
    numbers = ["62\u202f540", "1\u202f169", "0.375", "0.3594"]  # 10⁶ / 16 + 40, 16 · 12 + 977, 12 / 32, test data's
    assert first[0] == "0" and first[-4:] == numbers
    rest = "".join(line.strip() for line in takewhile(str.strip, lines[5:]))  # of the choices, which may break anywhere
    if wide:
        assert first[1:-4] == ["4", "4", "12"]
    else:
        assert (first[1] + rest).replace(" ", "").startswith("rows4,columns4,arithmetic.accumulator_bits12")


def test_an_empty_front_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = study(Search(trials=2), constraints=(Constraint("cycles", high=1.0),))
    show(Output(None), run_study(asked, tmp_path / "s", workers=1, evaluator=MadeUp()), tmp_path / "s")
    assert capsys.readouterr().out.startswith(
        "made up: the front is empty: no point meets all constraints\n2 of 2 points"
    )
