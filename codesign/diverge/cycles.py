"""`first_cycle`: the first cycle and signal in which machine and RTL differ on one memory image."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import dropwhile
from pathlib import Path

from emulator.config import AcceleratorConfig
from emulator.instructions import Instruction
from emulator.machine import Machine
from emulator.program import Program

from .signals import MEANINGS, UNITS, Row, machine_rows, rtl_rows

FIRST_CYCLE = 2
"""Cycle 0 takes the start, cycle 1 clears what the run before has left."""


@dataclass(frozen=True)
class CycleDifference:
    """Where two executions of one program part.

    cycle : of the run, from the one that takes the start on
    signal : the first of `MEANINGS` that differs in that cycle; ``run``: one of them has ended
    machine, rtl : its values; None: absent
    others : signals that differ in the same cycle → the two values
    under_way : unit → indices of the instructions that it had taken and not ended, in the machine, in that order
    """

    sample: int
    cycle: int
    signal: str
    machine: int | None
    rtl: int | None
    others: dict[str, tuple[int | None, int | None]] = field(default_factory=dict)
    under_way: dict[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def meaning(self) -> str:
        """What the signal says."""
        return MEANINGS.get(self.signal, "one run has ended, the other goes on")


def first_cycle(
    config: AcceleratorConfig, program: Program, image: bytes, sample: int = 0, simulator: str = "verilator"
) -> CycleDifference | None:
    """The first cycle in which machine and RTL differ on `image`; None: they do not.

    In a simulator whose testbench writes a line for every cycle.
    """
    with tempfile.TemporaryDirectory(prefix="lockstep-") as folder:
        file = simulated_signals(config, program, image, Path(folder), simulator)
        return compare(machine_rows(Machine(config), program, image), rtl_rows(file), sample)


def simulated_signals(
    config: AcceleratorConfig, program: Program, image: bytes, folder: Path, simulator: str = "verilator"
) -> Path:
    """Run one image in the RTL; the file that has a line of signals for every cycle, in `folder`."""
    from rtl.simulate import simulate_images

    where = program.program_address, program.program_bytes
    simulate_images(config, [image], *where, simulator=simulator, observable=True, work_dir=folder)
    return folder / "signals.txt"


def compare(
    machine: Iterator[tuple[int, Row]], rtl: Iterator[tuple[int, Row]], sample: int = 0
) -> CycleDifference | None:
    """The first row that differs; both count the cycles of one run."""
    under_way: dict[str, tuple[int, ...]] = dict.fromkeys(UNITS, ())
    rtl = dropwhile(lambda item: item[0] < FIRST_CYCLE, rtl)
    for cycle, ours in machine:
        followed = {unit: taken for unit, taken in under_way.items() if taken}
        for unit, taken in under_way.items():
            started = (ours[f"{unit} starts"],) if f"{unit} starts" in ours else ()
            under_way[unit] = tuple(index for index in (*taken, *started) if index != ours.get(f"{unit} ends"))
        there, theirs = next(rtl, (cycle, None))
        if theirs is None or there != cycle:
            return CycleDifference(sample, cycle, "run", 1, 0, {}, followed)
        differing = {
            name: (ours.get(name), theirs.get(name)) for name in MEANINGS if ours.get(name) != theirs.get(name)
        }
        if differing:
            (signal, (machine_value, rtl_value)), *others = differing.items()
            return CycleDifference(sample, cycle, signal, machine_value, rtl_value, dict(others), followed)
    # The interrupt, in the cycle after the last one of the machine, is all that may follow.
    there = [cycle for cycle, _ in rtl]
    return CycleDifference(sample, there[1], "run", 0, 1) if len(there) > 1 else None


def instruction_text(instructions: tuple[Instruction, ...], index: int) -> str:
    """An instruction of a program in one line."""
    if index >= len(instructions):
        return f"{index}: beyond the program"
    found = instructions[index]
    fields = ", ".join(f"{name} {value}" for name, value in found.fields.items() if value)
    return f"{index}: {found.opcode.name} {fields}"
