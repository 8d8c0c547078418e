"""Progress on standard error: bars for a terminal, a line for a step of a log that takes long."""

from __future__ import annotations

import time

import pytest

from codesign import console
from codesign.console import Phases
from emulator.announce import announce, announcing


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


def test_a_log_has_a_line_of_what_takes_long(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "SILENT_SECONDS", 0.01)
    with Phases() as shown, shown.phase("run the machine", first="compile it"):
        deadline = time.monotonic() + 20
        while not (err := capsys.readouterr().err) and time.monotonic() < deadline:
            time.sleep(0.01)
    assert err == "compile it …\n"


@pytest.mark.parametrize("terminal", ["", "1"])
def test_what_is_announced_is_a_line(
    terminal: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", terminal)
        monkeypatch.setenv("TERM", "xterm")
    with Phases() as shown, shown.phase("simulate"):
        announce("building [4×4]")
    err = capsys.readouterr().err
    assert "building [4×4]" in err and (terminal or err == "building [4×4]\n")
    announce("without a command")
    heard: list[str] = []
    with announcing(heard.append):
        announce("to a callback")
    assert capsys.readouterr().err == "without a command\n" and heard == ["to a callback"]
