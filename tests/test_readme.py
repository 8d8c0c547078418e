"""The README's scripts, run as they are written there, print what is written there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
SCRIPT = re.compile(r"```python\n(.*?)```\n\nIt prints `(.*?)`", re.DOTALL)


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
