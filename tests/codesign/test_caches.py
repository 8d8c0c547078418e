"""A cache folder that can be written, whatever the user's own is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from codesign.caches import can_be_written, writable_caches
from codesign.cli import HOLDS
from emulator.cache import cache_folder
from tests.codesign.models import small_config


@pytest.fixture(params=["file", "/proc"])
def home(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home in which nothing can be written, also not by root."""
    (tmp_path / "file").touch()
    for name in ("XDG_CACHE_HOME", "LOCKSTEP_CACHE", "MPLCONFIGDIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / request.param))
    return tmp_path / request.param


def test_a_temporary_folder_takes_the_place(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    platformdirs = pytest.importorskip("platformdirs")  # where YoWASP looks
    before = dict(os.environ)
    with writable_caches():
        folder = cache_folder().parent
        assert folder.is_dir() and platformdirs.user_cache_dir("YoWASP", appauthor=False) == str(folder / "YoWASP")
        assert Path(os.environ["MPLCONFIGDIR"]).parent == folder
    assert not folder.exists() and dict(os.environ) == before
    assert capsys.readouterr().err == ""
    with writable_caches():
        (cache_folder().parent / "compiled").touch()
    assert f"{home / '.cache'} cannot be written" in capsys.readouterr().err


def test_the_cache_that_is_chosen_takes_the_place(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOCKSTEP_CACHE", str(tmp_path / "chosen"))
    with writable_caches():
        assert os.environ["XDG_CACHE_HOME"] == str(tmp_path / "chosen")
        (tmp_path / "chosen").mkdir()
        (tmp_path / "chosen" / "compiled").touch()
    assert (tmp_path / "chosen" / "compiled").exists() and capsys.readouterr().err == ""
    monkeypatch.setenv("LOCKSTEP_CACHE", str(home / "chosen"))
    with writable_caches():
        assert can_be_written(Path(os.environ["XDG_CACHE_HOME"]))


def test_a_cache_that_can_be_written_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "absent" / "cache"))
    before = dict(os.environ)
    with writable_caches():
        assert dict(os.environ) == before
    assert list(tmp_path.iterdir()) == []


def test_verilog_is_written_without_a_home(home: Path, tmp_path: Path) -> None:
    arguments = ["verilog", str(small_config(tmp_path, "rows = 1\ncolumns = 1\n")), "-o", str(tmp_path / "a.v")]
    code = f"import sys; from codesign.cli import main; sys.exit(main({arguments!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == HOLDS, done.stderr
    assert "cannot be written" in done.stderr and (tmp_path / "a.v").exists()
