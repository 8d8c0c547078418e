"""`run_images` with a stub accelerator: what the memory, the latency, the limits and the counters do."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from rtl.simulation import AcceleratorSimulator, build_testbench, run_images

STUB = [("stub.v", Path(__file__).with_name("stub_accelerator.v").read_text(encoding="utf-8"))]
LATENCY = 16
ADDRESS = 64  # of the program; the operand is at byte 96
FIXED_CYCLES = 4 + 2 * LATENCY  # of the stub's run, beside its delay


@pytest.fixture(params=[8, 32])
def testbench(simulator: str, request: pytest.FixtureRequest) -> AcceleratorSimulator:
    return build_testbench(_stub(request.param), request.param, simulator)


def _stub(bus_bytes: int) -> list[tuple[str, str]]:
    return [(name, text.replace("BUS_BYTES = 8", f"BUS_BYTES = {bus_bytes}")) for name, text in STUB]


def image(bus_bytes: int, operand: int, addend: int, delay: int = 0, size: int = 128, word: int | None = None) -> bytes:
    """A memory with the stub's program and its operand, every other byte its own address."""
    memory = bytearray(index % 251 for index in range(size))
    memory[ADDRESS : ADDRESS + 8] = struct.pack("<II", 96 // bus_bytes if word is None else word, addend)
    memory[96:104] = struct.pack("<II", operand, delay)
    return bytes(memory)


def after(before: bytes, total: int) -> bytes:
    """The memory that the stub must leave."""
    return before[:96] + struct.pack("<I", total) + before[100:]


def test_runs_change_the_memory_as_the_program_says(testbench: AcceleratorSimulator) -> None:
    """Bytes, order of bytes, masks, sizes, cycles: run by run, each from a fresh image."""
    width = testbench.bus_bytes
    images = [
        image(width, 100, 7),
        image(width, 0xFFFFFFFF, 0x80000001, delay=9, size=1024),
        image(width, 5, 6, delay=1),
    ]
    counts: list[int] = []
    records = run_images(testbench, images, program_address=ADDRESS, on_progress=counts.append)
    assert [record.memory for record in records] == [
        after(images[0], 107), after(images[1], 0x80000000), after(images[2], 11)
    ]  # fmt: skip
    assert [record.cycles for record in records] == [FIXED_CYCLES, FIXED_CYCLES + 9, FIXED_CYCLES + 1]
    assert [record.elapsed for record in records] == [record.cycles for record in records]
    assert all(record.finished and record.error == record.stray == record.unknown == 0 for record in records)
    assert counts == sorted(set(counts)) and counts[-1] == 3


@pytest.mark.parametrize("latency", [1, 2, 1024])
def test_latency_is_exact(testbench: AcceleratorSimulator, latency: int) -> None:
    (record,) = run_images(testbench, [image(testbench.bus_bytes, 1, 1)], program_address=ADDRESS, latency=latency)
    assert record.cycles == FIXED_CYCLES + 2 * (latency - LATENCY)


@pytest.mark.parametrize("latency", [1, 1023, 1024])
def test_a_read_in_every_cycle_at_any_latency(simulator: str, latency: int) -> None:
    """The longest latency has as many reads on their way as the memory's queue holds, also when its pointers wrap."""
    reader = Path(__file__).with_name("reading_accelerator.v").read_text(encoding="utf-8")
    memory = bytes(index % 251 for index in range(8 * 3000))
    records = run_images(build_testbench([("reader.v", reader)], 8, simulator), [memory, memory], latency=latency)
    assert [record.cycles for record in records] == [3000 + latency + 1] * 2
    assert [record.error_index for record in records] == [sum(memory[::8])] * 2


def test_errors_limits_and_stray_accesses_are_recorded(testbench: AcceleratorSimulator) -> None:
    width = testbench.bus_bytes
    images = [
        image(width, 0, 0, word=0xFFFFFFFF),
        image(width, 0, 0, word=0xFFFFFFFE),
        image(width, 3, 4),
        image(width, 3, 4, word=128 // width),
    ]
    records = run_images(testbench, images, program_address=ADDRESS, max_cycles=300, reset_every_run=False)
    assert [(record.finished, record.error, record.error_index) for record in records] == [
        (True, 3, 7), (False, 0, 0), (True, 0, 0), (True, 0, 0)
    ]  # fmt: skip
    assert records[1].elapsed == 300 and records[1].memory == images[1]
    assert records[2].memory == after(images[2], 7)
    assert [record.stray for record in records] == [0, 0, 0, 2]
    assert records[3].memory == images[3]


@pytest.mark.parametrize("simulator", ["icarus"], indirect=True)
def test_unknown_bits_are_seen_by_icarus(simulator: str) -> None:
    broken = [(name, text.replace("operand + addend}", "operand + 32'bx}")) for name, text in STUB]
    (record,) = run_images(build_testbench(broken, 8, simulator), [image(8, 1, 1)], program_address=ADDRESS)
    assert record.unknown == 1


def test_arguments_are_checked() -> None:
    testbench = build_testbench(STUB, 8)
    with pytest.raises(ValueError, match=r"image's length must be a positive multiple of 8, at most 16777216, not 12"):
        run_images(testbench, [bytes(12)])
    with pytest.raises(ValueError, match=r"latency must be an integer from 1 to 1024, not 0"):
        run_images(testbench, [bytes(16)], latency=0)
    with pytest.raises(ValueError, match=r"max_cycles must be from 1 to 2\^48 − 1, not 0"):
        run_images(testbench, [bytes(16)], max_cycles=0)
    assert run_images(testbench, []) == []


@pytest.mark.parametrize("simulator", ["verilator"])
def test_trace_is_written_on_request(simulator: str, tmp_path: Path) -> None:
    testbench = build_testbench(STUB, 8, simulator, trace="vcd")
    run_images(testbench, [image(8, 1, 1)], program_address=ADDRESS, trace_file=tmp_path / "wave.vcd")
    text = (tmp_path / "wave.vcd").read_text(encoding="ascii")
    assert "run_finished" in text
    times = [int(line[1:]) for line in text.splitlines() if line.startswith("#")]
    assert times == sorted(times) and times[-1] >= 2 * FIXED_CYCLES
