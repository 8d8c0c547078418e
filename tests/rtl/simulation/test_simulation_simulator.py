"""Building, caching and running simulators: hits, interrupts, races, and every way in which a run can fail."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from multiprocessing import get_context
from pathlib import Path

import pytest

from rtl.simulation import SimulationError, build
from rtl.simulation.cache import cached_folder, content_key

COUNTER = """
`timescale 1ns / 1ns
`ifdef VERILATOR
module counter (input wire clk);
`else
module counter;
  reg clk = 0;
  always #1 clk = !clk;
`endif
  parameter STEP = 1;
  reg [31:0] count /*verilator public_flat_rw*/ = 0;
  reg late /*verilator public_flat_rw*/ = 0;
  always @(posedge clk) begin
    count <= count + STEP;
    late <= count > 100;
  end
endmodule
"""
BENCHES = """
import json
import cocotb
from cocotb.triggers import RisingEdge, Timer

@cocotb.test()
async def counts(top):
    arguments = json.load(open("arguments.json"))
    await RisingEdge(top.late)
    assert int(top.count.value) == arguments["count"], int(top.count.value)
"""
FOREVER = """
import cocotb
from cocotb.triggers import Timer

@cocotb.test()
async def forever(top):
    open("started", "w").close()
    await Timer(10**12, "ns")
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of this test's own."""
    monkeypatch.setenv("LOCKSTEP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of cocotb modules that the simulator can import."""
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "counting_bench.py").write_text(BENCHES)
    (folder / "endless_bench.py").write_text(FOREVER)
    (folder / "empty_bench.py").write_text("import cocotb\n")
    monkeypatch.syspath_prepend(str(folder))
    return folder


def test_runs_pass_and_fail(simulator: str, modules: Path, tmp_path: Path) -> None:
    built = build([("counter.v", COUNTER)], "counter", simulator, parameters={"STEP": 2}, cocotb=True)
    log = built.run("counting_bench", tmp_path / "run", {"count": 104})
    assert "counting_bench.counts" in log.read_text(encoding="utf-8")
    with pytest.raises(
        SimulationError, match=r"(?s)counting_bench must pass 1 of 1 tests, not 0 of 1;.*AssertionError"
    ):
        built.run("counting_bench", tmp_path / "run", {"count": 1})
    with pytest.raises(SimulationError, match=r"must pass 2 of 2 tests, not 1 of 1"):
        built.run("counting_bench", tmp_path / "run", {"count": 104}, expected=2)
    with pytest.raises(SimulationError, match=r"(?s)simulation of missing_bench .*No module named 'missing_bench'"):
        built.run("missing_bench", tmp_path / "run")
    with pytest.raises(SimulationError, match=r"simulation of empty_bench "):
        built.run("empty_bench", tmp_path / "run")


def test_a_filter_that_matches_nothing_is_an_error(
    simulator: str, modules: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = build([("counter.v", COUNTER)], "counter", simulator, parameters={"STEP": 2}, cocotb=True)
    monkeypatch.setenv("COCOTB_TEST_FILTER", "nothing_is_called_so")
    with pytest.raises(SimulationError, match=r"simulation of counting_bench "):
        built.run("counting_bench", tmp_path / "run", {"count": 104})


@pytest.mark.parametrize("simulator", ["icarus"], indirect=True)
def test_a_build_is_found_again_until_something_changes(cache: Path, simulator: str) -> None:
    first = build([("counter.v", COUNTER)], "counter", simulator)
    assert build([("counter.v", COUNTER)], "counter", simulator) == first
    others = {
        build([("counter.v", COUNTER + "\n")], "counter", simulator).folder,
        build([("counter.v", COUNTER)], "counter", simulator, parameters={"STEP": 3}).folder,
        build([("counter.v", COUNTER)], "counter", simulator, defines={"D": 3}).folder,
        first.folder,
    }
    assert len(others) == 4
    assert {path.suffix for path in (cache / "simulators").iterdir()} == {"", ".lock"}


def test_a_failed_build_says_why_and_leaves_nothing(cache: Path, simulator: str) -> None:
    with pytest.raises(
        SimulationError, match=rf"(?s){simulator.capitalize()} could not build counter; the log ends:.*counter\.v"
    ):
        build([("counter.v", "module counter; wire a = ; endmodule")], "counter", simulator)
    assert {path.suffix for path in (cache / "simulators").iterdir()} == {".lock"}


def test_arguments_are_checked() -> None:
    with pytest.raises(ValueError, match=r"simulator must be one of verilator, icarus, not 'questa'"):
        build([], "top", "questa")
    with pytest.raises(ValueError, match=r"trace must be one of vcd, fst or absent, not 'lxt'"):
        build([], "top", trace="lxt")


def _slowly(folder: Path) -> None:
    time.sleep(0.2)
    (folder / "once").touch(exist_ok=False)


def _ask(key: str) -> float:
    return (cached_folder("race", key, _slowly) / "once").stat().st_mtime


def test_parallel_processes_fill_a_folder_once(cache: Path) -> None:
    with get_context("spawn").Pool(2) as pool:
        times = pool.map(_ask, [content_key("race")] * 4, chunksize=1)
    assert len(set(times)) == 1


def test_what_a_killed_build_left_is_replaced(cache: Path) -> None:
    partial = cache / "race" / "key.partial"
    partial.mkdir(parents=True)
    (partial / "once").touch()
    assert cached_folder("race", "key", _slowly).is_dir()
    assert not partial.exists()


def test_an_interrupt_leaves_no_partial_folder(cache: Path) -> None:
    def interrupted(folder: Path) -> None:
        (folder / "half").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_folder("race", "key", interrupted)
    assert [path.name for path in (cache / "race").iterdir()] == ["key.lock"]


def test_an_interrupt_ends_the_build_with_its_temporary_files(cache: Path, tmp_path: Path) -> None:
    compiler, temporary = tmp_path / "compiler", tmp_path / "temporary"
    compiler.write_text(
        '#!/bin/sh\ncase "$*" in --version|*-dM*) ;; *) touch "$(mktemp -d)/half"; touch "$STARTED"; sleep 60; esac\n'
    )
    compiler.chmod(0o755)
    temporary.mkdir()
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        f"from rtl.simulation import build; build([('counter.v', {COUNTER!r})], 'counter')"
    )
    started = tmp_path / "started"
    environment = os.environ | {"CXX": str(compiler), "TMPDIR": str(temporary), "STARTED": str(started)}
    process = subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not started.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert started.exists() and b"KeyboardInterrupt" in errors
    assert list(temporary.iterdir()) == []
    assert {path.suffix for path in (cache / "simulators").iterdir()} == {".lock"}


def test_an_interrupt_ends_the_simulator(simulator: str, modules: Path, tmp_path: Path) -> None:
    """A process that is interrupted (Ctrl-C) in a run ends at once, and takes the simulator with it."""
    build([("counter.v", COUNTER)], "counter", simulator, parameters={"STEP": 2}, cocotb=True)
    script = tmp_path / "script.py"
    script.write_text(
        "import signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a background job starts with it ignored
        f"sys.path[:0] = [{str(Path.cwd())!r}, {str(modules)!r}]\n"
        "from pathlib import Path\n"
        "from rtl.simulation import build\n"
        f"sources, step = [('counter.v', {COUNTER!r})], {{'STEP': 2}}\n"
        f"built = build(sources, 'counter', {simulator!r}, parameters=step, cocotb=True)\n"
        f"built.run('endless_bench', Path({str(tmp_path / 'run')!r}))\n"
    )
    process = subprocess.Popen([sys.executable, str(script)], stderr=subprocess.PIPE)
    started = tmp_path / "run" / "started"
    deadline = time.monotonic() + 60
    while not started.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert started.exists()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert b"KeyboardInterrupt" in errors
    assert subprocess.run(["pgrep", "-f", str(tmp_path / "run")], check=False, capture_output=True).stdout == b""
