"""cocotb's runners, with what makes a simulation fast and its failures loud."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import cocotb_tools.config
from cocotb_tools.runner import Icarus, Runner, Verilator

from .optimization import best
from .process import run_group
from .tools import find_compiler, find_verilator, find_vvp

MAIN = Path(__file__).with_name("main.cpp")
COCOTB_MAIN = Path(__file__).with_name("cocotb_main.cpp")
COMPRESSION = Path(__file__).with_name("compression")
"""Headers instead of the libraries that an FST trace would need."""
TRACES = ("vcd", "fst")
COMMON = (
    "-O3",
    "--x-assign",
    "fast",
    "--x-initial",
    "fast",
    "--no-timing",  # main.cpp makes the clock: a coroutine per edge would cost a fifth of the speed
    # One C++ file for an array of a few lanes: its own precompiled headers, and reading them for each of many small
    # files, cost more processor time than the whole model. Larger ones become files that are compiled side by side.
    "--output-split",
    "100000",
    "--output-split-cfuncs",
    "5000",  # what the optimizer takes for a function does not grow with the file
    "-Wno-fatal",  # generated Verilog is full of harmless width remarks; errors still stop the build
)
LIBRARY_OPTIMIZATION = "OPT_GLOBAL=-O1"


class _GroupRunner(Runner):
    """Runs each command in its own process group."""

    def _set_env_build(self) -> None:
        super()._set_env_build()
        self.env["TMPDIR"] = str(self.build_dir)  # a compiler that is killed leaves its temporary files

    def _execute_cmds(
        self, cmds: Sequence[list[str]], cwd: os.PathLike[str] | str, stdout: TextIO | None = None
    ) -> None:
        for command in cmds:
            status = run_group(command, Path(cwd), stdout, self.env)
            if status != 0:
                raise subprocess.CalledProcessError(status, command)


class LeanVerilator(_GroupRunner, Verilator):
    """Verilator without ``--public-flat-rw``: cocotb sees only signals that the Verilog marks as public.

    trace : ``vcd``, ``fst`` or nothing
    threads : that the model's evaluation is divided among
    library : folder of Verilator's run-time library as object files, if it has been compiled before
    cocotb : whether Python drives the top; otherwise it plays everything by itself
    loops : whether the Verilog has loops over instances
    """

    def __init__(
        self,
        trace: str | None = None,
        threads: int = 1,
        library: Path | None = None,
        cocotb: bool = True,
        loops: bool = False,
    ) -> None:
        super().__init__()
        self.trace = trace
        self.threads = threads
        self.library = library
        self.cocotb = cocotb
        self.loops = loops
        self.tool = find_verilator()

    def _set_env_build(self) -> None:
        super()._set_env_build()
        self.env.update(self.tool.environment)
        for name in (
            "MAKEFLAGS",
            "MFLAGS",
            "MAKELEVEL",
        ):  # the job server and options of a make that started this process
            self.env.pop(name, None)

    def _build_command(self) -> list[list[str]]:
        libraries = cocotb_tools.config.libs_dir
        verilate = [self.tool.executable, "-cc", "--exe", "-Mdir", str(self.build_dir), "--prefix", "Vtop"]
        verilate += ["--top-module", str(self.hdl_toplevel), "-o", "simulator", *COMMON]
        verilate += ["--threads", str(self.threads)] if self.threads > 1 else []
        if self.cocotb:
            verilate += ["--vpi", "-LDFLAGS", f"-Wl,-rpath,{libraries} -L{libraries} -lcocotbvpi_verilator"]
        verilate += [f"--trace-{self.trace}"] if self.trace else []
        verilate += ["-CFLAGS", f"-I{COMPRESSION}"] if self.trace == "fst" else []
        verilate += self._get_define_options(self.defines) + self._get_parameter_options(self.parameters)
        verilate += [str(COCOTB_MAIN if self.cocotb else MAIN), *(str(source) for source in self.sources)]
        # Newer than their sources, so that make leaves them alone; Verilator would delete what lies there before.
        objects = [str(compiled) for compiled in self.library.glob("*.o")] if self.library else []
        copy = [["cp", *objects, str(self.build_dir)]] if objects else []
        make = ["make", "-j", str(min(os.cpu_count() or 1, 4)), "-C", str(self.build_dir), "-f", "Vtop.mk"]
        make += [f"CXX={find_compiler().executable}", f"LINK={find_compiler().executable}"]
        if self.trace == "fst":  # neither -llz4 nor -lz
            make += ["LDLIBS=$(VM_USER_LDLIBS) $(CFG_LDLIBS_THREADS)"]
        make += [f"OPT_FAST={best(self.loops).flags}", LIBRARY_OPTIMIZATION, *self.tool.make_variables]
        return [verilate, *copy, make]

    def _test_command(self) -> list[list[str]]:
        return [[str(self.build_dir / "simulator"), *self.test_args]]


class LeanIcarus(_GroupRunner, Icarus):
    """Icarus Verilog; the Verilog writes its own trace under ``TRACE`` when it is asked for one."""

    def _simulator_in_path(self) -> None:
        """The tools module has looked already."""

    def _test_command(self) -> list[list[str]]:
        library = cocotb_tools.config.lib_entry("vpi", "icarus")
        return [[*find_vvp(), "-m", str(library), str(self.build_dir / "sim.vvp"), *self.test_args]]
