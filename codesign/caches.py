"""Where the tools that a command runs keep what they compile, if the user's own cache folder cannot be written."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def writable_caches() -> Iterator[None]:
    """Give the block, and the processes that it starts, a cache folder that can be written.

    Amaranth's Yosys, YoWASP's Yosys and nextpnr, Numba and the built simulators have their folders in
    ``$XDG_CACHE_HOME`` or ``~/.cache``, and most of them fail without. Where that cannot be written, its place takes
    ``$LOCKSTEP_CACHE``, or a temporary folder that is gone after the block; a note on standard error says so if it was
    used.
    """
    usual = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    chosen = os.environ.get("LOCKSTEP_CACHE")
    if usual.parts[0] != "~" and can_be_written(usual):  # it is ~ where nobody knows a home
        yield
    elif chosen and can_be_written(Path(chosen)):
        with _cache_folder(Path(chosen).absolute()):
            yield
    else:
        with tempfile.TemporaryDirectory(prefix="lockstep-", ignore_cleanup_errors=True) as folder:
            with _cache_folder(Path(folder)):
                yield
            if any(Path(folder).iterdir()):
                print(
                    f"lockstep: note: {usual} cannot be written, so nothing that was compiled is kept; "
                    "LOCKSTEP_CACHE may name another folder",
                    file=sys.stderr,
                )


def can_be_written(folder: Path) -> bool:
    """Whether files can be made in `folder`, or the folder itself where it does not exist: tried, and nothing is left.

    Permissions alone would not tell: those of ``/proc`` let root do anything.
    """
    folder = folder.absolute()
    there = next(place for place in (folder, *folder.parents) if os.path.exists(place))
    try:
        with tempfile.TemporaryDirectory(prefix=".lockstep-", dir=there):
            return True
    except OSError:
        return False


@contextmanager
def _cache_folder(folder: Path) -> Iterator[None]:
    """Have all tools use `folder`; Matplotlib looks into the user's configuration unless it is told where to look."""
    names = {"XDG_CACHE_HOME": str(folder)}
    if "MPLCONFIGDIR" not in os.environ:
        names["MPLCONFIGDIR"] = str(folder / "matplotlib")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(names)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
