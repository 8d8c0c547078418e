"""How the C++ of a Verilator model is compiled.

A model is straight code that every clock cycle runs through once, and loops over the arrays that `rtl.simulation.loops`
makes of equal instances. The straight code gains little from more than -O1, which takes half of -O2's time; the loops
are to become vector instructions, those of the processor that the model is built on, and pay for -O3.
"""

from __future__ import annotations

import functools
import hashlib
import subprocess
from dataclasses import dataclass

from .tools import find_compiler

_VECTORS = "-ftree-loop-vectorize -ftree-vrp"
_CANDIDATES = {
    False: (f"-O1 {_VECTORS} -march=native", f"-O1 {_VECTORS}"),
    True: ("-O3 -march=native", "-O3"),
}
"""Whether there are loops → for GCC: value ranges show that an index needs no mask."""
_OTHERWISE = "-O2"
"""Where Clang makes vector instructions by itself; what it takes for -march=native differs between versions."""


@dataclass(frozen=True)
class Optimization:
    """Flags of the C++ compiler.

    flags : for the code that runs in every cycle
    processor : what the flags take from the processor that they are used on
    """

    flags: str
    processor: str = ""


def _macros(*flags: str) -> str | None:
    """What the compiler defines under some flags, or None if it refuses them."""
    command = [find_compiler().executable, *flags, "-dM", "-E", "-x", "c++", "/dev/null"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None


@functools.cache
def best(loops: bool) -> Optimization:
    """What the compiler has for a model on this processor.

    loops : whether the model has loops over instances
    """
    if "__clang__" in (_macros() or "__clang__"):
        return Optimization(_OTHERWISE)
    for flags in _CANDIDATES[loops]:
        found = _macros(*flags.split())
        if found is not None:
            return Optimization(flags, hashlib.sha256(found.encode()).hexdigest())
    return Optimization(_OTHERWISE)
