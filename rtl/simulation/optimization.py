"""How the C++ of a Verilator model is compiled: soon, or well where the model then runs for long.

A model is straight code, some hundred kilobytes that every clock cycle runs through once, so that its time is that of
fetching instructions. A profile tells the compiler which choices are rare: what is idle then costs nothing. It takes a
second compilation and a run in between.
"""

from __future__ import annotations

import functools
import hashlib
import subprocess
from dataclasses import dataclass

from .tools import find_compiler

PROFILED_FROM = 12_000_000
"""Clock cycles from which on the second compilation pays: it costs some forty processor seconds for an array of 16×16,
whose cycles then take 3 to 4 µs instead of 6."""


@dataclass(frozen=True)
class Optimization:
    """Flags of the C++ compiler.

    flags : for the code that runs in every cycle
    profile : whether it is compiled a second time, with the profile of a run
    processor : what the flags take from the processor that they are used on
    """

    flags: str
    profile: bool = False
    processor: str = ""

    def first(self) -> list[str]:
        """Arguments for the first ``make``."""
        if not self.profile:
            return [f"OPT_FAST={self.flags}"]
        return [f"OPT_FAST={self.flags} -fprofile-generate -fprofile-update=single", "LDFLAGS=-fprofile-generate"]

    def second(self) -> list[str]:
        """Arguments for the second one, which finds the profile beside the sources."""
        return [f"OPT_FAST={self.flags} -fprofile-use -Wno-missing-profile -Wno-coverage-mismatch"]


QUICK = Optimization("-O1")
"""Builds twice as fast as -O2, and simulates a sixth slower."""


def _macros(*flags: str) -> str | None:
    """What the compiler defines under some flags, or None if it refuses them."""
    command = [find_compiler().executable, *flags, "-dM", "-E", "-x", "c++", "/dev/null"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None


@functools.cache
def best() -> Optimization:
    """What makes a model fastest on this processor, as far as the compiler has it.

    A profile is asked of GCC alone: Clang's needs a further tool, of the same version.
    """
    found = _macros("-O2", "-march=native")
    flags = "-O2" if found is None else "-O2 -march=native"
    profile = "__clang__" not in (_macros() or "__clang__")
    return Optimization(flags, profile, hashlib.sha256((found or "").encode()).hexdigest())
