"""The README's script, run as it is written there, prints what is written there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_own_model(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    script = re.search(r"`own\.py`.*?```python\n(.*?)```\n\nIt prints `(.*?)`", readme, re.DOTALL)
    assert script is not None
    (tmp_path / "own.py").write_text(script[1], encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    made = subprocess.run(
        [sys.executable, "own.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (made.returncode, made.stdout) == (0, script[2] + "\n"), made.stderr
