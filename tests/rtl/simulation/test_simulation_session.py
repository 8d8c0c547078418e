"""`run_plans` with a stub accelerator: what the script, the memory, the limits and the counters do."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from emulator.instructions import Error
from emulator.registers import STATUS_DONE, STATUS_ERROR, STATUS_RUNNING
from rtl.simulation import AcceleratorSimulator, Plan, SimulationError, build_testbench, optimization, run_plans
from rtl.simulation.optimization import best
from rtl.simulation.tools import Tool

STUB = [("stub.v", Path(__file__).with_name("stub_accelerator.v").read_text(encoding="utf-8"))]
LATENCY = 16
ADDRESS = 64  # of the program; the operand is at byte 96
FIXED_CYCLES = 6 + 3 * LATENCY  # of the stub's run, beside its delay
COLUMNS = 3


@pytest.fixture(params=[8, 32])
def testbench(simulator: str, request: pytest.FixtureRequest) -> AcceleratorSimulator:
    return build_testbench(_stub(request.param), request.param, COLUMNS, simulator)


def _stub(bus_bytes: int) -> list[tuple[str, str]]:
    return [(name, text.replace("BUS_BYTES = 8", f"BUS_BYTES = {bus_bytes}")) for name, text in STUB]


def image(operand: int, addend: int, delay: int = 0, size: int = 128, address: int = 96) -> bytes:
    """A memory with the stub's program and its operand, every other byte its own address."""
    memory = bytearray(index % 251 for index in range(size))
    memory[ADDRESS : ADDRESS + 8] = struct.pack("<II", address, addend)
    memory[96:104] = struct.pack("<II", operand, delay)
    return bytes(memory)


def after(before: bytes, total: int) -> bytes:
    """The memory that the stub must leave."""
    return before[:96] + struct.pack("<I", total) + before[100:]


def test_runs_change_the_memory_as_the_program_says(testbench: AcceleratorSimulator) -> None:
    """Bytes, order of bytes, strobes, sizes, cycles, registers: run by run, each from a fresh image."""
    images = [image(100, 7), image(0xFFFFFFFF, 0x80000001, delay=9, size=1024), image(5, 6, delay=1)]
    counts: list[int] = []
    runs = run_plans(testbench, [Plan(made, ADDRESS) for made in images], on_progress=counts.append)
    assert [run.memory for run in runs] == [
        after(images[0], 107), after(images[1], 0x80000000), after(images[2], 11)
    ]  # fmt: skip
    assert [run.elapsed for run in runs] == [FIXED_CYCLES, FIXED_CYCLES + 9, FIXED_CYCLES + 1]
    assert [run.counters["cycles"] for run in runs] == [run.elapsed for run in runs]
    assert all(run.finished and run.registers["error"] == Error.NONE for run in runs)
    assert all(run.strays == run.violations == run.unknowns == 0 for run in runs)
    assert [(run.beats_read, run.beats_written) for run in runs] == [(2, 1)] * 3
    assert counts == sorted(set(counts)) and counts[-1] == sum(run.elapsed for run in runs)
    assert [run.registers["status"] for run in runs] == [0] * 3, "the interrupt has been acknowledged"
    assert runs[0].counters["load_busy"] == (1 << 32) + 5
    np.testing.assert_array_equal(runs[0].lane_counters, [[0, 256, 512], [1, 257, 513], [2, 258, 514]])


@pytest.mark.parametrize("latency", [1, 2, 1024])
def test_latency_is_exact(testbench: AcceleratorSimulator, latency: int) -> None:
    (run,) = run_plans(testbench, [Plan(image(1, 1), ADDRESS, latency=latency)])
    assert run.elapsed == FIXED_CYCLES + 3 * (latency - LATENCY)


def test_stalls_depend_on_the_seed_alone(testbench: AcceleratorSimulator) -> None:
    seeds = [3, 0xDEADBEEF, 3, 0]
    runs = run_plans(testbench, [Plan(image(1, 1, 20), ADDRESS, seed=seed, latency=2) for seed in seeds])
    assert runs[0].elapsed == runs[2].elapsed
    assert runs[3].elapsed == FIXED_CYCLES + 20 - 3 * (LATENCY - 2) == min(run.elapsed for run in runs)
    assert all(run.memory == after(image(1, 1, 20), 2) and run.violations == 0 for run in runs)


def test_errors_limits_and_strays_are_recorded(testbench: AcceleratorSimulator) -> None:
    images = [image(0, 0, address=0xFFFFFFFF), image(0, 0, address=0xFFFFFFFE), image(3, 4), image(3, 4, address=128)]
    plans = [Plan(made, ADDRESS) for made in images]
    plans.append(Plan(image(3, 4), ADDRESS, error_range=(ADDRESS + 7, ADDRESS + 7)))
    runs = run_plans(testbench, plans, max_cycles=300)
    assert [(run.finished, run.registers["error"], run.registers["error_index"]) for run in runs] == [
        (True, 3, 7), (False, 0, 0), (True, 0, 0), (True, 0, 0), (True, 6, 7)
    ]  # fmt: skip
    assert 300 <= runs[1].elapsed <= 302 and runs[1].memory == images[1]
    assert runs[2].memory == after(images[2], 7), "the hardware was reset after the run that was given up"
    assert [run.strays for run in runs] == [0, 0, 0, 2, 0]
    assert runs[3].memory == images[3]


def test_runs_can_be_cut_short(testbench: AcceleratorSimulator) -> None:
    endless, good = image(0, 0, address=0xFFFFFFFE), image(3, 4)
    plans = [
        Plan(endless, ADDRESS, soft_reset_at=50),
        Plan(good, ADDRESS),
        Plan(image(1, 1, delay=1000), ADDRESS, hard_reset_at=FIXED_CYCLES + 5),
        Plan(good, ADDRESS),
        Plan(good, ADDRESS, soft_reset_at=5000),
    ]
    runs = run_plans(testbench, plans)
    assert [run.finished for run in runs] == [False, True, False, True, True]
    assert [run.memory for run in runs] == [endless, after(good, 7), plans[2].image, after(good, 7), after(good, 7)]
    assert runs[1].elapsed == runs[3].elapsed == FIXED_CYCLES
    assert not any(run.registers["status"] & (STATUS_RUNNING | STATUS_DONE | STATUS_ERROR) for run in runs[:3])


BREAKS = {
    "a burst that crosses 4 KiB": ("assign axi__arlen = 0;", "assign axi__arlen = 255;"),
    "a burst of another size": ("assign axi__awsize = $clog2(BUS_BYTES);", "assign axi__awsize = 1;"),
    "a burst that does not increment": ("assign axi__arburst = 1;", "assign axi__arburst = 2;"),
    "a last beat that is not marked": ("assign axi__wlast = 1;", "assign axi__wlast = 0;"),
}


@pytest.mark.parametrize("simulator", ["icarus"], indirect=True)
@pytest.mark.parametrize("broken", BREAKS)
def test_violations_of_the_protocol_are_counted(simulator: str, broken: str) -> None:
    sources = [(name, text.replace(*BREAKS[broken])) for name, text in STUB]
    memory = image(1, 1, size=8192)
    address = 4096 - 32
    memory = memory[:address] + memory[ADDRESS : ADDRESS + 8] + memory[address + 8 :]
    (run,) = run_plans(build_testbench(sources, 8, 1, simulator), [Plan(memory, address)], max_cycles=2000)
    assert run.violations > 0, broken


@pytest.mark.parametrize("simulator", ["icarus"], indirect=True)
def test_an_offer_that_is_taken_back_is_a_violation(simulator: str) -> None:
    sources = [(name, text.replace("if (axi__arready) axi__arvalid", "axi__arvalid")) for name, text in STUB]
    plans = [Plan(image(1, 1), ADDRESS, seed=seed) for seed in range(0x81, 0x91)]  # arready is 0 in the first cycle
    runs = run_plans(build_testbench(sources, 8, 1, simulator), plans, max_cycles=200)
    assert all(run.violations > 0 for run in runs[::2])


@pytest.mark.parametrize("simulator", ["icarus"], indirect=True)
def test_unknown_bits_are_seen_by_icarus(simulator: str) -> None:
    broken = [(name, text.replace("operand + addend}", "operand + 32'bx}")) for name, text in STUB]
    (run,) = run_plans(build_testbench(broken, 8, 1, simulator), [Plan(image(1, 1), ADDRESS)])
    assert run.unknowns == 1
    silent = [(name, text.replace("'h0c: lite__rdata <= error", "'h0c: lite__rdata <= 32'bx")) for name, text in STUB]
    with pytest.raises(SimulationError, match=r"run 1: the register at c is unknown: x+"):
        run_plans(build_testbench(silent, 8, 1, simulator), [Plan(image(1, 1), ADDRESS)])


@pytest.mark.parametrize("simulator", ["icarus"], indirect=True)
def test_registers_that_do_not_answer_end_the_simulation(simulator: str) -> None:
    deaf = [(name, text.replace("lite__arready = !lite__rvalid", "lite__arready = 0")) for name, text in STUB]
    with pytest.raises(SimulationError, match=r"(?s)does not answer at register address 0004"):
        run_plans(build_testbench(deaf, 8, 1, simulator, patience=1000), [Plan(image(1, 1), ADDRESS)])


def test_arguments_are_checked() -> None:
    testbench = build_testbench(STUB, 8, 1)
    with pytest.raises(ValueError, match=r"image's length must be a positive multiple of 8, at most 16777216, not 12"):
        run_plans(testbench, [Plan(bytes(12))])
    with pytest.raises(ValueError, match=r"latency must be an integer from 1 to 1024, not 0"):
        run_plans(testbench, [Plan(bytes(16), latency=0)])
    with pytest.raises(ValueError, match=r"seed must be an integer from 0 to 4294967295, not -1"):
        run_plans(testbench, [Plan(bytes(16), seed=-1)])
    with pytest.raises(ValueError, match=r"max_cycles must be from 1 to 2\^48 − 1, not 0"):
        run_plans(testbench, [Plan(bytes(16))], max_cycles=0)
    assert run_plans(testbench, []) == []


@pytest.mark.parametrize(
    ("loops", "flags"), [(False, "-O1 -ftree-loop-vectorize -ftree-vrp"), (True, "-O3")], ids=["straight", "loops"]
)
def test_flags_that_a_compiler_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loops: bool, flags: str) -> None:
    for number, (refused, macro, expected) in enumerate(
        (
            ("nothing", "__GNUC__", f"{flags} -march=native"),
            ("-march=native", "__GNUC__", flags),
            (flags.split()[-1], "__GNUC__", "-O2"),
            ("nothing", "__clang__", "-O2"),
        )
    ):
        compiler = tmp_path / f"compiler_{number}"
        compiler.write_text(f'#!/bin/sh\ncase "$*" in *{refused}*) exit 1;; esac\necho "#define {macro} 1"\n')
        compiler.chmod(0o755)
        monkeypatch.setattr(optimization, "find_compiler", lambda compiler=compiler: Tool(str(compiler), "1"))
        assert best.__wrapped__(loops).flags == expected
