"""Building a simulator from Verilog text, once: the result is cached by the hash of everything that went into it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cocotb_tools.config
from cocotb import __version__ as cocotb_version
from cocotb_tools.check_results import get_results

from emulator.cache import cache_folder

from .cache import cached_folder, content_key
from .errors import SimulationError, log_tail
from .runner import COMMON, COMPRESSION, MAIN, MAKE_VARIABLES, TRACES, LeanIcarus, LeanVerilator
from .tools import Tool, find_compiler, find_simulator

HARNESS_VERSION = 1  # raise it when a change of the harness must rebuild every simulator
TIMESCALE = ("1ns", "1ns")


@dataclass(frozen=True)
class BuiltSimulator:
    """A simulator ready to run.

    simulator : ``verilator`` or ``icarus``
    top : name of the top module
    folder : where the executable lies, in the cache
    trace : the waveform format it was built for, or nothing
    """

    simulator: str
    top: str
    folder: Path
    trace: str | None = None

    def run(
        self,
        test_module: str,
        work_dir: Path,
        arguments: Mapping[str, object] | None = None,
        *,
        expected: int = 1,
        seed: int = 0,
        trace_file: Path | None = None,
        while_running: Callable[[], None] | None = None,
    ) -> Path:
        """Run the cocotb tests of a module in `work_dir`, and return the simulation's log.

        test_module : dotted name, importable with this process's ``sys.path``, or one of the harness's own `benches`
        arguments : written to ``arguments.json`` in `work_dir`, the simulation's working folder
        expected : number of tests that must run and pass
        seed : of ``cocotb.RANDOM_SEED``
        while_running : called about ten times a second, and once when the simulator has ended

        Raises `SimulationError` unless exactly `expected` tests ran and all passed: also for a module that is missing
        or broken or has no tests, and for a simulator that ended early. An interrupt ends the simulator.
        """
        if trace_file is not None and self.trace is None:
            raise ValueError("trace_file must be absent for a simulator that was built without a trace")
        work_dir = Path(work_dir).resolve()
        work_dir.mkdir(parents=True, exist_ok=True)
        (work_dir / "arguments.json").write_text(json.dumps(dict(arguments or {})), encoding="utf-8")
        log, results = work_dir / "simulation.log", work_dir / "results.xml"
        results.unlink(missing_ok=True)
        options: list[str] = []
        if trace_file is not None:
            file = Path(trace_file).resolve()
            verilator = self.simulator == "verilator"
            options = ["--trace-file", str(file)] if verilator else [f"+trace_file={file}", f"-{self.trace}"]
        failure = ""
        runner = _runner(self.simulator, self.trace)
        runner.while_running = while_running
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
                test_args=options,
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
    simulator: str, trace: str | None, threads: int = 1, library: Path | None = None
) -> LeanVerilator | LeanIcarus:
    return LeanVerilator(trace, threads, library) if simulator == "verilator" else LeanIcarus()


def build(
    sources: Sequence[tuple[str, str]],
    top: str,
    simulator: str = "verilator",
    *,
    parameters: Mapping[str, int] | None = None,
    defines: Mapping[str, str | int] | None = None,
    trace: str | None = None,
    threads: int = 1,
) -> BuiltSimulator:
    """Build a simulator, or find it in the cache.

    sources : (file name, Verilog text) each, in the order of compilation
    top : name of the top module; in Verilator its one input is ``clk``, which `main.cpp` drives; in Icarus it has none
    simulator : ``verilator`` or ``icarus``
    parameters : of the top module
    defines : macros
    trace : ``vcd`` or ``fst`` for a simulator that can write a waveform
    threads : that Verilator divides the design among

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
    base = [HARNESS_VERSION, simulator, tool.version, cocotb_version, str(cocotb_tools.config.libs_dir), trace]
    if simulator == "verilator":
        base += [find_compiler().version, MAIN.read_text(encoding="utf-8"), COMMON, MAKE_VARIABLES, tool.make_variables]
        headers = sorted(COMPRESSION.glob("*.h")) if trace == "fst" else []
        base += [threads, [file.read_text(encoding="utf-8") for file in headers]]
    key = content_key([base, [list(source) for source in sources], top, parameters, defines])

    def make(folder: Path) -> None:
        _compile(folder, tool, simulator, list(sources), top, parameters, defines, trace, threads, content_key(base))

    return BuiltSimulator(simulator, top, cached_folder("simulators", key, make), trace)


def _compile(
    folder: Path,
    tool: Tool,
    simulator: str,
    sources: list[tuple[str, str]],
    top: str,
    parameters: dict[str, int],
    defines: dict[str, str | int],
    trace: str | None,
    threads: int,
    library_key: str,
) -> None:
    """Fill `folder` with the executable (``simulator`` or ``sim.vvp``) alone."""
    build_dir = folder / "build"
    build_dir.mkdir()
    files = []
    for name, text in sources:
        files.append(folder / name)
        files[-1].write_text(text, encoding="utf-8")
    library = cache_folder() / "verilated" / library_key
    log = folder / "build.log"
    try:
        _runner(simulator, trace, threads, library).build(
            sources=files, hdl_toplevel=top, parameters=parameters, defines=defines, build_dir=build_dir, log_file=log,
            timescale=TIMESCALE if simulator == "icarus" else None,
        )  # fmt: skip
    except subprocess.CalledProcessError:
        raise SimulationError(
            f"{simulator.capitalize()} could not build {top}; the log ends:\n{log_tail(log)}"
        ) from None
    if simulator == "verilator":

        def keep(target: Path) -> None:
            for compiled in build_dir.glob("verilated*.o"):
                shutil.copy(compiled, target)

        cached_folder("verilated", library_key, keep)
    name = "simulator" if simulator == "verilator" else "sim.vvp"
    (build_dir / name).rename(folder / name)
    shutil.rmtree(build_dir)
