"""The accelerator between a memory and a host that are not ours: cocotbext-axi, with random gaps everywhere.

Cycles are not compared; the bits, and the counters that are no times, must be the machine's. axi_monitor.py watches the
protocol in every run.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emulator.instructions import INSTRUCTION_BYTES, Error, Opcode
from emulator.machine import Machine
from emulator.registers import CONTROL_ACKNOWLEDGE, CONTROL_RESET, STATUS_DONE, STATUS_ERROR
from tests.end_to_end.test_faults import FAULTS, RESULT, image
from tests.rtl.bus.axi_programs import (
    CONFIGS,
    PARAMETERS,
    SOURCE,
    TARGET,
    Run,
    play,
    random_runs,
    transfer_run,
    transfers,
)

TIMELESS = ("bytes_read", "bytes_written", "macs")
GAPS = ("none", "late", "random", "late", "random")
ORDERS = (0, 1, 2)
"""`order` of axi_top.v: which of address and data of a write the memory takes first."""
CASES = {
    "4x4": ("4x4", "verilator"), "3x16": ("3x16", "verilator"), "2x6": ("2x6", "verilator"),
    "icarus": ("4x4", "icarus"),
}  # fmt: skip
MOMENTS = [
    ("late", 16, 0), ("late", 0, 16), ("late", 8, 8), ("late", 1, 1), ("random", 1, 1), ("random", 0, 1),
    ("random", 1, 0), ("none", 0, 1),
]  # fmt: skip
"""Gaps of a run, and the reads and writes that must be outstanding when it is cut."""


def cases(*names: str) -> pytest.MarkDecorator:
    """Some of the simulators that all tests of this file share."""
    return pytest.mark.parametrize(("name", "simulator"), [CASES[name] for name in names], indirect=["simulator"])


def behaviour(number: int) -> dict[str, object]:
    """Gaps and order of a run; five runs meet all gaps, fifteen every pair."""
    return {"gaps": GAPS[number % len(GAPS)], "order": ORDERS[number % len(ORDERS)]}


def assert_good(run: Run, result: dict) -> None:
    """It has ended well, as the machine's."""
    assert run.record.error == Error.NONE
    assert (result["error"], result["status"]) == (Error.NONE, STATUS_DONE)
    assert result["memory"] == run.record.memory
    assert {name: result["counters"][name] for name in TIMELESS} == {
        name: run.record.counters[name] for name in TIMELESS
    }
    np.testing.assert_array_equal(result["lane_counters"], run.record.lane_counters)


def assert_stopped(run: Run, result: dict) -> None:
    """It has stopped with the machine's error at the machine's instruction."""
    assert run.record.error != Error.NONE
    assert (result["error"], result["error_index"]) == (run.record.error, run.record.error_index)
    assert result["status"] == STATUS_ERROR


def assert_begun(run: Run, result: dict, complete: bytes) -> None:
    """Every byte of the memory is as before the run or as the complete run leaves it."""
    left, before, after = (np.frombuffer(memory, np.uint8) for memory in (result["memory"], run.image, complete))
    assert np.all((left == before) | (left == after))


@cases(*CASES)
def test_random_programs(name: str, simulator: str, tmp_path: Path) -> None:
    rng = np.random.default_rng([9, *name.encode()])
    runs = [replace(run, **behaviour(number)) for number, run in enumerate(random_runs(CONFIGS[name], rng))]
    for run, result in zip(runs, play(name, simulator, tmp_path, int(rng.integers(1 << 32)), runs), strict=True):
        assert_good(run, result)


@cases("4x4", "3x16", "2x6")
def test_long_transfers(name: str, simulator: str, tmp_path: Path) -> None:
    """Bursts of all lengths, up to 4 KiB and 256 beats where the scratchpads have room; 16 of them outstanding."""
    config, rng = CONFIGS[name], np.random.default_rng([10, *name.encode()])
    runs = [transfer_run(config, rng, **behaviour(number)) for number in range(6)]
    results = play(name, simulator, tmp_path, 1, runs)
    for run, result in zip(runs, results, strict=True):
        assert_good(run, result)
        size = min(config.operand_depth, config.output_depth) * config.columns
        assert result["memory"][TARGET : TARGET + size] == run.image[SOURCE : SOURCE + size]
        for direction in ("reads", "writes"):
            assert result[direction]["crossings"] > 0
            assert name != "3x16" or result[direction]["longest"] == 256
    for direction in ("reads", "writes"):
        assert max(result[direction]["outstanding"] for result in results) == 16


@cases("4x4", "3x16", "icarus")
def test_soft_resets(name: str, simulator: str, tmp_path: Path) -> None:
    """What the memory has taken on ends, nothing else begins, and what the cut run has written is right."""
    config, rng = CONFIGS[name], np.random.default_rng([11, *name.encode()])
    runs = []
    for number, (gaps, *bursts) in enumerate(MOMENTS):
        cut = transfer_run(config, rng, gaps=gaps, order=number % 3, reset_when=tuple(bursts))
        runs += [cut, transfer_run(config, rng, **behaviour(number))]
    results = play(name, simulator, tmp_path, 2, runs)
    for run, result in zip(runs[1::2], results[1::2], strict=True):
        assert_good(run, result)
    for run, result in zip(runs[::2], results[::2], strict=True):
        assert (result["status"], result["error"]) == (0, Error.NONE)
        assert_begun(run, result, run.record.memory)
    for (gaps, *wanted), result in zip(MOMENTS, results[::2], strict=True):
        if gaps == "late":  # the bursts are still outstanding when the reset takes effect
            assert any(result["cut"].values()), wanted


@cases("3x16", "icarus")
def test_error_responses(name: str, simulator: str, tmp_path: Path) -> None:
    """Refused bytes of a fetch, of LOADs and of STOREs, and of what nobody touches; then a good program."""
    config, rng = CONFIGS[name], np.random.default_rng([12, *name.encode()])
    program = transfers(config)
    moved = [made for made in program if made.opcode in (Opcode.LOAD, Opcode.STORE)]
    touched = [made["memory_address"] + int(rng.integers(made["pixel_bytes"])) for made in moved]
    touched += [INSTRUCTION_BYTES * k + int(rng.integers(INSTRUCTION_BYTES)) for k in (0, 3, len(program) - 1)]
    touched += [PARAMETERS - 1]
    runs = []
    for number, byte in enumerate(touched):
        bad = transfer_run(
            config, rng, refused=(byte, byte), answer=("SLVERR", "DECERR")[number % 2],
            afterwards=(CONTROL_RESET, CONTROL_ACKNOWLEDGE)[number // 2 % 2], **behaviour(number),
        )  # fmt: skip
        runs += [bad, transfer_run(config, rng, **behaviour(number + 1))]
    results = play(name, simulator, tmp_path, 3, runs)
    for run, result in zip(runs, results, strict=True):
        if run.record.error == Error.NONE:
            assert_good(run, result)
        else:
            assert_stopped(run, result)
            complete = Machine(config).execute([run.image], 0, run.program_bytes)[0]
            assert_begun(run, result, complete.memory)
    stopped = [run.record for run in runs[::2] if run.record.error != Error.NONE]
    assert len(stopped) == len(touched) - 1
    assert {program[record.error_index].opcode for record in stopped} >= {Opcode.LOAD, Opcode.STORE, Opcode.HALT}


@cases("4x4")
def test_faults(name: str, simulator: str, tmp_path: Path) -> None:
    """Every kind of fault; then a good program."""
    config, rng = CONFIGS[name], np.random.default_rng(13)
    runs = []
    for number, (program, _, _) in enumerate(FAULTS.values()):
        memory, length = image(program)
        bad = Run(memory, length, Machine(config).execute([memory], 0, length)[0])
        runs += [replace(bad, **behaviour(number)), transfer_run(config, rng, **behaviour(number + 1))]
    results = play(name, simulator, tmp_path, 4, runs)
    for (fault, (_, error, index)), run, result in zip(FAULTS.items(), runs[::2], results[::2], strict=True):
        assert_stopped(run, result)
        assert (error, index) == (result["error"], result["error_index"]), fault
        assert result["memory"][:RESULT] == run.image[:RESULT], fault
    for run, result in zip(runs[1::2], results[1::2], strict=True):
        assert_good(run, result)
