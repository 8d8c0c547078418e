"""Progress on standard error: for a terminal alone."""

from __future__ import annotations

import pytest

from codesign.console import Phases


def phases() -> Phases:
    with Phases() as shown, shown.phase("run", first="build") as on_step:
        for done in range(4):
            on_step(done, 3)
    with shown, shown.phase("wait"):
        pass
    return shown


def test_a_terminal_sees_each_step(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    assert list(phases().seconds) == ["run", "wait"]
    out, err = capsys.readouterr()
    assert out == ""
    assert err.index("build") < err.index("run") < err.index("3/3") < err.index("wait") < err.index("1/1")


def test_a_file_gets_no_progress(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(phases().seconds) == ["run", "wait"]
    assert capsys.readouterr() == ("", "")
