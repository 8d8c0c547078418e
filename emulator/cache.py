"""Where what is built on this computer is kept."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """``$LOCKSTEP_CACHE``, or ``lockstep`` in the user's cache folder."""
    chosen = os.environ.get("LOCKSTEP_CACHE")
    return Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lockstep"
