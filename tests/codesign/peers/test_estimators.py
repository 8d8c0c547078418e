"""A run of someone else's estimator: nothing of it leaks, and what goes wrong in it is one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from codesign.peers import estimators
from codesign.peers.estimators import run_estimator


@pytest.fixture(autouse=True)
def _any_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(estimators.PACKAGES, "SCALE-Sim", ("json",))


def test_files_and_prints_stay_where_they_are(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    script = """
import os, sys
def run(name):
    print("noise"); print("more", file=sys.stderr); os.system("echo and a shell's")
    open(name, "w").write(os.environ["OMP_NUM_THREADS"])
    while time.process_time() < start + 0.2: pass
"""
    seconds = run_estimator("SCALE-Sim", script, ["made.txt"], tmp_path, 60)
    assert 0.2 <= seconds < 2
    assert (tmp_path / "made.txt").read_text() == "1" and not Path("made.txt").exists()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("def run():\n    raise KeyError('ArrayHeight')", "KeyError: 'ArrayHeight'"),
        ("def run():\n    print('ERROR: not found')\n    exit()", "ERROR: not found"),
        ("import sys\ndef run():\n    sys.exit(3)", "it ended with 3"),
        ("import no_such_module", "No module named 'no_such_module'"),
    ],
)
def test_faults_are_one_sentence(tmp_path: Path, script: str, said: str) -> None:
    with pytest.raises(ValueError, match=r"^SCALE-Sim does not run it: ") as caught:
        run_estimator("SCALE-Sim", script, [], tmp_path, 60)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_it_is_ended_after_its_time(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"SCALE-Sim must be done in 0\.5 seconds"):
        run_estimator("SCALE-Sim", "import time\ndef run():\n    time.sleep(60)", [], tmp_path, 0.5)


def test_what_is_absent_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(estimators.PACKAGES, "SCALE-Sim", ("json", "no_such_package"))
    with pytest.raises(ValueError, match=r"'no_such_package', which pip install 'lockstep\[correlation\]' installs"):
        run_estimator("SCALE-Sim", "", [], tmp_path, 60)
