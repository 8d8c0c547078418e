"""Running programs on a simulated accelerator: memory images in, memory images and counters out."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .errors import SimulationError
from .simulator import BuiltSimulator, build

TESTBENCH = Path(__file__).with_name("testbench.v")
MAX_LATENCY = 1024
# A larger memory costs nothing in Verilator and seconds of start-up in Icarus, where in turn a build costs nothing.
SMALLEST_MEMORY = {"verilator": 1 << 24, "icarus": 1 << 16}


@dataclass(frozen=True)
class AcceleratorSimulator:
    """A built `testbench.v`: the simulator, the width of its bus and the largest memory image, in bytes."""

    built: BuiltSimulator
    bus_bytes: int
    memory_bytes: int


@dataclass(frozen=True)
class SimulatedRun:
    """What one run left behind.

    memory : the memory after the run, as long as the image before it
    finished : whether `done` came before `max_cycles`; if not, the rest shows the state at that moment
    cycles : the accelerator's own counter
    elapsed : clock cycles from the start pulse to `done`, counted by the testbench
    error, error_index : the accelerator's error code (0: none) and the index of the instruction at fault
    stray : accesses outside of the image; reads gave 0 and writes did nothing
    unknown : writes with unknown bits, which only Icarus can see
    """

    memory: bytes
    finished: bool
    cycles: int
    elapsed: int
    error: int
    error_index: int
    stray: int
    unknown: int


def build_testbench(
    accelerator: Sequence[tuple[str, str]],
    bus_bytes: int,
    simulator: str = "verilator",
    *,
    memory_bytes: int = 1 << 16,
    trace: str | None = None,
) -> AcceleratorSimulator:
    """Build `testbench.v` around the module ``accelerator`` in the Verilog sources (file name, text).

    accelerator : its ports are those of the instance in `testbench.v`
    bus_bytes : width of its memory port
    memory_bytes : the largest image; raised to a power of two, and to 16 MiB for Verilator, so that builds are shared

    Raises what `build` raises.
    """
    size = max(SMALLEST_MEMORY.get(simulator, 0), 1 << (memory_bytes - 1).bit_length())
    sources = [*accelerator, (TESTBENCH.name, TESTBENCH.read_text(encoding="utf-8"))]
    parameters = {"BUS_BYTES": bus_bytes, "MEMORY_BYTES": size}
    built = build(sources, "testbench", simulator, parameters=parameters, trace=trace)
    return AcceleratorSimulator(built, bus_bytes, size)


def run_images(
    testbench: AcceleratorSimulator,
    images: Sequence[bytes],
    *,
    program_address: int | Sequence[int] = 0,
    latency: int = 16,
    max_cycles: int = 10_000_000,
    reset_every_run: bool = True,
    on_progress: Callable[[int], None] | None = None,
    trace_file: Path | None = None,
    work_dir: Path | None = None,
) -> list[SimulatedRun]:
    """Run the accelerator once per memory image, all in one simulator process.

    images : the memory before each run; a length is a multiple of the bus's bytes, and is the memory's size in that run
    program_address : byte address of the program, the same in every image or one per image
    latency : cycles from an accepted read to its data, 1 to 1024
    max_cycles : a run is given up after so many cycles
    reset_every_run : reset before each run; if not, only before the first and after a run that did not finish
    on_progress : called with the number of finished runs whenever it has grown
    work_dir : where the simulation's files stay; a temporary folder if it is absent

    Raises ``ValueError`` for an argument outside its range and `SimulationError` if the simulation itself fails.
    """
    bus_bytes = testbench.bus_bytes
    if type(latency) is not int or not 1 <= latency <= MAX_LATENCY:
        raise ValueError(f"latency must be an integer from 1 to {MAX_LATENCY}, not {latency!r}")
    if not 1 <= max_cycles < 1 << 48:
        raise ValueError(f"max_cycles must be from 1 to 2^48 − 1, not {max_cycles!r}")
    for image in images:
        if len(image) % bus_bytes or not 0 < len(image) <= testbench.memory_bytes:
            raise ValueError(
                f"an image's length must be a positive multiple of {bus_bytes}, at most {testbench.memory_bytes}, "
                f"not {len(image)}"
            )
    if not images:
        return []
    with tempfile.TemporaryDirectory(prefix="lockstep-") as temporary:
        folder = Path(work_dir or temporary).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        for number, image in enumerate(images, start=1):
            # $fread fills a word from its most significant byte, so the bytes of each word are turned around.
            words = np.frombuffer(image, np.uint8).reshape(-1, bus_bytes)[:, ::-1]
            (folder / f"image_{number}.bin").write_bytes(words.tobytes())
        arguments = {
            "program_address": [program_address] * len(images) if isinstance(program_address, int) else program_address,
            "latency": latency,
            "max_cycles": max_cycles,
            "reset_every_run": reset_every_run,
            "image_bytes": [len(image) for image in images],
        }
        records = folder / "records.jsonl"
        records.unlink(missing_ok=True)
        watch = None if on_progress is None else _line_counter(records, on_progress)
        testbench.built.run("accelerator_bench", folder, arguments, trace_file=trace_file, while_running=watch)
        results = [json.loads(line) for line in records.read_text(encoding="utf-8").splitlines()]
        runs = []
        for number, (image, result) in enumerate(zip(images, results, strict=True), start=1):
            memory = (folder / f"memory_{number}.bin").read_bytes()
            if len(memory) != len(image):
                raise SimulationError(f"run {number} must leave {len(image)} bytes of memory, not {len(memory)}")
            runs.append(SimulatedRun(memory=memory, finished=bool(result.pop("done")), **result))
        return runs


def _line_counter(file: Path, report: Callable[[int], None]) -> Callable[[], None]:
    """A function that calls `report` with the number of lines in a growing file if there are more than last time."""
    seen = 0

    def look() -> None:
        nonlocal seen
        lines = file.read_bytes().count(b"\n") if file.exists() else 0
        if lines > seen:
            seen = lines
            report(lines)

    return look
