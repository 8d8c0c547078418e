"""Running programs on a simulated accelerator: memory images in, memory images and registers out."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emulator.registers import COUNTERS, LANE_COUNTERS, REGISTERS, lane_counter
from emulator.timing import MAX_LATENCY

from .errors import SimulationError, log_tail
from .loops import has_loops, roll
from .script import Plan, script
from .simulator import BuiltSimulator, build

FILES = [Path(__file__).with_name(name) for name in ("memory_model.v", "testbench.v")]
# A larger memory costs nothing in Verilator and seconds of start-up in Icarus, where in turn a build costs nothing.
SMALLEST_MEMORY = {"verilator": 1 << 24, "icarus": 1 << 16}
PROGRESS_BITS = {"verilator": 17, "icarus": 12}
"""A run reports its cycles once in 2 to the power of so many: some times a second."""
CYCLE_BITS = 48


@dataclass(frozen=True)
class AcceleratorSimulator:
    """A built `testbench.v`: the simulator, the width of its bus, its lanes, and the largest memory image in bytes."""

    built: BuiltSimulator
    bus_bytes: int
    columns: int
    memory_bytes: int


@dataclass(frozen=True, eq=False)
class SimulatedRun:
    """What one run left behind.

    memory : the memory after the run, as long as the image before it
    finished : whether the interrupt came
    elapsed : clock cycles from the handshake that starts the run to the interrupt, counted by the testbench
    registers : every register that is read after a run, by name; pairs as one number
    lane_counters : (3, columns) int64, in the order of `emulator.registers.LANE_COUNTERS`
    strays : bursts that left the image
    violations : cycles in which the accelerator broke the bus's protocol
    unknowns : cycles with unknown bits on the bus, which only Icarus can see
    beats_read, beats_written : counted by the memory
    """

    memory: bytes
    finished: bool
    elapsed: int
    registers: Mapping[str, int]
    lane_counters: NDArray[np.int64]
    strays: int
    violations: int
    unknowns: int
    beats_read: int
    beats_written: int

    @property
    def counters(self) -> dict[str, int]:
        """The counters of `emulator.registers.COUNTERS`."""
        return {name: self.registers[name] for name in COUNTERS}


def build_testbench(
    accelerator: Sequence[tuple[str, str]],
    bus_bytes: int,
    columns: int,
    simulator: str = "verilator",
    *,
    memory_bytes: int = 1 << 16,
    trace: str | None = None,
    threads: int = 1,
    patience: int = 1 << 20,
    signals: bool = False,
    straight: bool = False,
    title: str = "",
) -> AcceleratorSimulator:
    """Build `testbench.v` around the module ``accelerator`` in the Verilog sources (file name, text).

    accelerator : its ports are those of the instance in `testbench.v`
    bus_bytes : width of its data bus
    columns : lanes with counters
    memory_bytes : the largest image; raised to a power of two, and to 16 MiB for Verilator, so that builds are shared
    threads : of the Verilator model
    patience : cycles after which a register that does not answer ends the simulation
    signals : write what happens in every cycle of observed runs to ``signals.txt`` in the simulation's work folder
    straight : give Verilator the Verilog as it is, without loops over equal instances
    title : what is built, as `build` has it

    Raises what `build` raises.
    """
    size = max(SMALLEST_MEMORY.get(simulator, 0), 1 << (memory_bytes - 1).bit_length())
    rolled = list(accelerator)
    if simulator == "verilator" and trace is None and not straight:  # a waveform shows every instance
        rolled = [(name, roll(text)) for name, text in accelerator]
    sources = [*rolled, *((file.name, file.read_text(encoding="utf-8")) for file in FILES)]
    parameters = {"BUS_BYTES": bus_bytes, "MEMORY_BYTES": size, "PROGRESS_BITS": PROGRESS_BITS.get(simulator, 17)}
    parameters["PATIENCE"] = patience
    defines = {"SIGNALS": 1} if signals else {}

    built = build(
        sources, "testbench", simulator, parameters=parameters, defines=defines, trace=trace, threads=threads,
        loops=any(has_loops(text) for _, text in rolled), title=title,
    )  # fmt: skip
    return AcceleratorSimulator(built, bus_bytes, columns, size)


def check_plan(plan: Plan, bus_bytes: int, memory_bytes: int) -> None:
    """Raise ``ValueError`` for an argument outside its range."""
    for name, value, low, high in (
        ("latency", plan.latency, 1, MAX_LATENCY),
        ("seed", plan.seed, 0, (1 << 32) - 1),
        ("soft_reset_at", plan.soft_reset_at, 0, (1 << CYCLE_BITS) - 1),
        ("hard_reset_at", plan.hard_reset_at, 0, (1 << CYCLE_BITS) - 1),
    ):
        if type(value) is not int or not low <= value <= high:
            raise ValueError(f"{name} must be an integer from {low} to {high}, not {value!r}")
    if len(plan.image) % bus_bytes or not 0 < len(plan.image) <= memory_bytes:
        raise ValueError(
            f"an image's length must be a positive multiple of {bus_bytes}, at most {memory_bytes}, "
            f"not {len(plan.image)}"
        )


def run_plans(
    testbench: AcceleratorSimulator,
    plans: Sequence[Plan],
    *,
    max_cycles: int = 10_000_000,
    on_progress: Callable[[int], None] | None = None,
    trace_file: Path | None = None,
    work_dir: Path | None = None,
) -> list[SimulatedRun]:
    """Play all plans, one after the other, on the same hardware in one simulator process.

    max_cycles : a run is given up after so many cycles, and the hardware reset before the next one
    on_progress : called some times a second with the clock cycles of all runs up to this moment
    work_dir : where the simulation's files stay; a temporary folder if it is absent

    Raises ``ValueError`` for an argument outside its range and `SimulationError` if the simulation itself fails.
    """
    if type(max_cycles) is not int or not 1 <= max_cycles < 1 << CYCLE_BITS:
        raise ValueError(f"max_cycles must be from 1 to 2^48 − 1, not {max_cycles!r}")
    for plan in plans:
        check_plan(plan, testbench.bus_bytes, testbench.memory_bytes)
    if not plans:
        return []
    with tempfile.TemporaryDirectory(prefix="lockstep-") as temporary:
        folder = Path(work_dir or temporary).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        for number, plan in enumerate(plans, start=1):
            # $fread fills a word from its most significant byte, so the bytes of each word are turned around.
            words = np.frombuffer(plan.image, np.uint8).reshape(-1, testbench.bus_bytes)[:, ::-1]
            (folder / f"image_{number}.bin").write_bytes(words.tobytes())
        (folder / "script.txt").write_text(script(plans, testbench.columns, max_cycles), encoding="ascii")
        results = folder / "results.txt"
        results.unlink(missing_ok=True)
        watch = None if on_progress is None else _watch(results, on_progress)
        log = testbench.built.play(folder, trace_file=trace_file, while_running=watch)
        runs = list(_runs(results, plans, folder, testbench.columns))
        if len(runs) != len(plans):
            raise SimulationError(
                f"the simulation ended after {len(runs)} of {len(plans)} runs; its log ends:\n{log_tail(log)}"
            )
        return runs


def _runs(results: Path, plans: Sequence[Plan], folder: Path, columns: int) -> Iterator[SimulatedRun]:
    read: dict[int, int] = {}
    number = 0
    for line in results.read_text(encoding="ascii").splitlines():
        kind, *words = line.split()
        if kind == "r":
            address, value = words
            if not set(value.lower()) <= set("0123456789abcdef"):
                raise SimulationError(f"run {number + 1}: the register at {address} is unknown: {value}")
            read[int(address, 16)] = int(value, 16)
        elif kind == "e":
            number += 1
            memory = (folder / f"memory_{number}.bin").read_bytes()
            if len(memory) != len(plans[number - 1].image):
                expected = len(plans[number - 1].image)
                raise SimulationError(f"run {number} must leave {expected} bytes of memory, not {len(memory)}")
            finished, elapsed, strays, violations, unknowns, beats_read, beats_written = (int(w, 16) for w in words)
            registers = {
                register.name: sum(read[register.offset + 4 * word] << 32 * word for word in range(register.words))
                for register in REGISTERS
                if register.offset in read
            }
            lanes = [[read[lane_counter(k, lane)] for lane in range(columns)] for k in range(len(LANE_COUNTERS))]
            yield SimulatedRun(
                memory, bool(finished), elapsed, registers, np.array(lanes, np.int64), strays, violations, unknowns,
                beats_read, beats_written,
            )  # fmt: skip


def _watch(results: Path, report: Callable[[int], None]) -> Callable[[], None]:
    """A function that reports the cycles that a growing file of results speaks of, if they are more than last time."""
    position, finished, present, reported = 0, 0, 0, 0

    def look() -> None:
        nonlocal position, finished, present, reported
        if not results.exists():
            return
        with results.open("rb") as file:
            file.seek(position)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        position += len(whole)
        for line in whole.splitlines():
            kind, *words = line.split()
            if kind == b"e":
                finished, present = finished + int(words[1], 16), 0
            elif kind == b"p":
                present = int(words[0], 16)
        if finished + present > reported:
            reported = finished + present
            report(reported)

    return look
