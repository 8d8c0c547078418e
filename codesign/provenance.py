"""`provenance`: by what and where figures were made, as text."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from pathlib import Path

PACKAGES = Path(__file__).parents[1]


def provenance() -> dict[str, str]:
    """ "version", "commit" (of a checkout; with a + where files were changed), "processor", "python"."""
    made = {
        "version": importlib.metadata.version("lockstep"),
        "processor": processor(),
        "python": platform.python_version(),
    }
    found = commit()
    return made | ({"commit": found} if found else {})


def processor() -> str:
    """The processor's name, or its architecture where the system does not tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def commit() -> str | None:
    """The commit of the checkout that this code is in; None where it is none or there is no Git."""
    if not (PACKAGES / ".git").exists():
        return None
    try:
        head, changes = (
            subprocess.run(
                ["git", "--no-optional-locks", "-C", PACKAGES, *words], capture_output=True, text=True, check=True
            ).stdout.strip()
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + ("+" if changes else "")
