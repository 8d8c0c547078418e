"""Building a simulator from Verilog text, once: the result is cached by the hash of everything that went into it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import cocotb_tools.config
from cocotb import __version__ as cocotb_version
from cocotb_tools.check_results import get_results

from emulator.announce import announce
from emulator.cache import cache_folder

from .cache import cached_folder, content_key
from .errors import SimulationError, log_tail
from .optimization import best
from .process import run_group
from .runner import (
    COCOTB_MAIN,
    COMMON,
    COMPRESSION,
    LIBRARY_OPTIMIZATION,
    MAIN,
    TRACES,
    LeanIcarus,
    LeanVerilator,
)
from .tools import find_compiler, find_simulator, find_vvp

HARNESS_VERSION = 2  # raise it when a change of the harness must rebuild every simulator
TIMESCALE = ("1ns", "1ns")


@dataclass(frozen=True)
class BuiltSimulator:
    """A simulator ready to run.

    simulator : ``verilator`` or ``icarus``
    top : name of the top module
    folder : where the executable lies, in the cache
    trace : the waveform format it was built for, or nothing
    cocotb : whether it is driven by a cocotb module (`run`); otherwise its top plays everything by itself (`play`)
    """

    simulator: str
    top: str
    folder: Path
    trace: str | None = None
    cocotb: bool = False

    def play(
        self, work_dir: Path, *, trace_file: Path | None = None, while_running: Callable[[], None] | None = None
    ) -> Path:
        """Let the top play what lies in `work_dir` until it has finished, and return the simulation's log.

        while_running : called about ten times a second, and once when the simulator has ended

        Raises `SimulationError` if it ends before that. An interrupt ends the simulator.
        """
        options = self._trace_options(trace_file)
        command = [str(self.folder / "simulator"), *options]
        if self.simulator == "icarus":
            command = [*find_vvp(), str(self.folder / "sim.vvp"), *options]
        work_dir = Path(work_dir).resolve()
        work_dir.mkdir(parents=True, exist_ok=True)
        log = work_dir / "simulation.log"
        with log.open("w", encoding="utf-8") as output:
            status = run_group(command, work_dir, output, while_running=while_running)
        if status != 0 or "finished" not in log.read_text(encoding="utf-8", errors="replace").splitlines():
            raise SimulationError(f"the simulation of {self.top} has not finished; its log ends:\n{log_tail(log)}")
        return log

    def _trace_options(self, trace_file: Path | None) -> list[str]:
        if trace_file is None:
            return []
        if self.trace is None:
            raise ValueError("trace_file must be absent for a simulator that was built without a trace")
        file = Path(trace_file).resolve()
        verilator = self.simulator == "verilator"
        return ["--trace-file", str(file)] if verilator else [f"+trace_file={file}", f"-{self.trace}"]

    def run(
        self,
        test_module: str,
        work_dir: Path,
        arguments: Mapping[str, object] | None = None,
        *,
        expected: int = 1,
        seed: int = 0,
    ) -> Path:
        """Run the cocotb tests of a module in `work_dir`, and return the simulation's log.

        test_module : dotted name, importable with this process's ``sys.path``
        arguments : written to ``arguments.json`` in `work_dir`, the simulation's working folder
        expected : number of tests that must run and pass
        seed : of ``cocotb.RANDOM_SEED``

        Raises `SimulationError` unless exactly `expected` tests ran and all passed: also for a module that is missing
        or broken or has no tests, and for a simulator that ended early. An interrupt ends the simulator.
        """
        work_dir = Path(work_dir).resolve()
        work_dir.mkdir(parents=True, exist_ok=True)
        (work_dir / "arguments.json").write_text(json.dumps(dict(arguments or {})), encoding="utf-8")
        log, results = work_dir / "simulation.log", work_dir / "results.xml"
        results.unlink(missing_ok=True)
        failure = ""
        runner = _runner(self.simulator, self.trace)
        try:
            runner.test(
                test_module=test_module,
                hdl_toplevel=self.top,
                hdl_toplevel_lang="verilog",
                build_dir=self.folder,
                test_dir=work_dir,
                results_xml=str(results),
                log_file=log,
                seed=seed,
            )
        except SystemExit:  # how the runner reports a failed test or simulator under pytest
            failure = "the simulator failed"
        except ValueError as error:
            failure = str(error)
        try:
            ran, failed = get_results(results)
        except RuntimeError:
            raise SimulationError(
                f"the simulation of {test_module} ended without results ({failure or 'no test was started'}); "
                f"its log ends:\n{log_tail(log)}"
            ) from None
        if (ran, failed) != (expected, 0):
            raise SimulationError(
                f"the simulation of {test_module} must pass {expected} of {expected} tests, "
                f"not {ran - failed} of {ran}; its log ends:\n{log_tail(log)}"
            )
        return log


def _runner(
    simulator: str,
    trace: str | None,
    threads: int = 1,
    library: Path | None = None,
    cocotb: bool = True,
    loops: bool = False,
) -> LeanVerilator | LeanIcarus:
    return LeanVerilator(trace, threads, library, cocotb, loops) if simulator == "verilator" else LeanIcarus()


def build(
    sources: Sequence[tuple[str, str]],
    top: str,
    simulator: str = "verilator",
    *,
    parameters: Mapping[str, int] | None = None,
    defines: Mapping[str, str | int] | None = None,
    trace: str | None = None,
    threads: int = 1,
    cocotb: bool = False,
    loops: bool = False,
    title: str = "",
) -> BuiltSimulator:
    """Build a simulator, or find it in the cache.

    sources : (file name, Verilog text) each, in the order of compilation
    top : name of the top module. In Verilator its input is ``clk``, which the main program drives, and, but for cocotb,
        its output ``finished``; in Icarus it has none, and writes a line "finished" before it ends the simulation
    simulator : ``verilator`` or ``icarus``
    parameters : of the top module
    defines : macros
    trace : ``vcd`` or ``fst`` for a simulator that can write a waveform
    threads : that Verilator divides the design among
    cocotb : for a top that Python drives
    loops : whether `sources` have loops over instances (`rtl.simulation.loops`), for which Verilator's C++ is optimized
    title : what is built, for the line that says so

    Raises `ToolError` if a tool is missing and `SimulationError` if the build fails.
    """
    if trace not in (None, *TRACES):
        raise ValueError(f"trace must be one of {', '.join(TRACES)} or absent, not {trace!r}")
    tool = find_simulator(simulator)
    parameters, defines = dict(parameters or {}), dict(defines or {})
    if type(threads) is not int or threads < 1:
        raise ValueError(f"threads must be a positive integer, not {threads!r}")
    if trace is not None and simulator == "icarus":
        defines["TRACE"] = 1
    base: list[object] = [HARNESS_VERSION, simulator, tool.version, trace]
    if cocotb:
        base += [cocotb_version, str(cocotb_tools.config.libs_dir)]
    if simulator == "verilator":
        main = (COCOTB_MAIN if cocotb else MAIN).read_text(encoding="utf-8")
        headers = sorted(COMPRESSION.glob("*.h")) if trace == "fst" else []
        base += [find_compiler().version, main, COMMON, LIBRARY_OPTIMIZATION, tool.make_variables, threads]
        base += [astuple(best(loops)), [file.read_text(encoding="utf-8") for file in headers]]
    content = [base, [list(source) for source in sources], top, parameters, defines]
    order = _Order(
        simulator,
        list(sources),
        top,
        parameters,
        defines,
        trace,
        threads,
        cocotb,
        loops,
        content_key(base),
        title or top,
    )
    folder = cached_folder("simulators", content_key(content), lambda folder: _compile(folder, order))
    return BuiltSimulator(simulator, top, folder, trace, cocotb)


@dataclass(frozen=True)
class _Order:
    """What is to be built; library_key : of the run-time library, which does not depend on the design."""

    simulator: str
    sources: list[tuple[str, str]]
    top: str
    parameters: dict[str, int]
    defines: dict[str, str | int]
    trace: str | None
    threads: int
    cocotb: bool
    loops: bool
    library_key: str
    title: str


def _compile(folder: Path, order: _Order) -> None:
    """Fill `folder` with the executable (``simulator`` or ``sim.vvp``) alone."""
    build_dir = folder / "build"
    build_dir.mkdir()
    files = []
    for name, text in order.sources:
        files.append(folder / name)
        files[-1].write_text(text, encoding="utf-8")
    verilator = order.simulator == "verilator"
    if verilator:
        seconds = 3 + sum(len(text) for _, text in order.sources) // 70_000
        announce(f"building the simulator of {order.title} (about {seconds} s, kept in {folder.parent})")
    library = cache_folder() / "verilated" / order.library_key
    log = folder / "build.log"
    runner = _runner(order.simulator, order.trace, order.threads, library, order.cocotb, order.loops)
    try:
        runner.build(
            sources=files, hdl_toplevel=order.top, parameters=order.parameters, defines=order.defines,
            build_dir=build_dir, log_file=log, timescale=None if verilator else TIMESCALE,
        )  # fmt: skip
    except subprocess.CalledProcessError:
        raise SimulationError(
            f"{order.simulator.capitalize()} could not build {order.top}; the log ends:\n{log_tail(log)}"
        ) from None
    if verilator:

        def keep(target: Path) -> None:
            for compiled in build_dir.glob("verilated*.o"):
                shutil.copy(compiled, target)

        cached_folder("verilated", order.library_key, keep)
    name = "simulator" if verilator else "sim.vvp"
    (build_dir / name).rename(folder / name)
    shutil.rmtree(build_dir)
