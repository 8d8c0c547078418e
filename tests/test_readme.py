"""The README's scripts, run as they are written there, print what is written there; so do its study's points."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from codesign.study.definition import find_study, points, read_study
from codesign.study.evaluation import rerun

ROOT = Path(__file__).parent.parent
SCRIPT = re.compile(r"```python\n(.*?)```\n\nIt prints `(.*?)`", re.DOTALL)
STUDY = re.compile(r"```toml\n(# Which array .*?)```", re.DOTALL)
FRONT = re.compile(r"^ (\d+) {2,}(.+?) {2,}([\d.]+) {2,}([\d.]+) \* {2,}≈1 *$", re.MULTILINE)


def test_own_model_and_recipe(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    scripts = SCRIPT.findall(readme)
    assert readme.count("```python") == len(scripts) == 2
    (tmp_path / "own.py").write_text("".join(script for script, _ in scripts), encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    made = subprocess.run(
        [sys.executable, "own.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    expected = "".join(f"{output}\n" for _, output in scripts)
    assert (made.returncode, made.stdout) == (0, expected), made.stderr


def test_the_study_is_the_built_in_one_and_its_front_the_machines() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    file = find_study("ecp5_arrays")
    assert STUDY.findall(readme) == [file.read_text(encoding="utf-8")]
    study = read_study(file)
    every = list(points(study))
    rows = FRONT.findall(readme)
    assert f"for each of {len(every)} accelerators" in readme and len(rows) > 1
    for index, labels, latency, energy in rows:
        assert [str(label) for label in every[int(index)].choices.values()] == re.split(" {2,}", labels)
        if index in (rows[0][0], rows[-1][0]):
            values = rerun(study, every[int(index)]).values
            assert (f"{values['latency_us'].number:.4g}", f"{values['energy_uj'].number:.4g}") == (latency, energy)
            assert values["fits"].number == 1
