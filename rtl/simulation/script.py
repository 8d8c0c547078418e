"""The script that `testbench.v` plays: how a host loads, starts, waits for and reads out runs, register by register."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from emulator.instructions import INSTRUCTION_BYTES
from emulator.registers import (
    CONTROL_ACKNOWLEDGE,
    CONTROL_RESET,
    CONTROL_START,
    COUNTERS,
    COUNTERS_OFFSET,
    LANE_COUNTERS,
    STATUS_RESETTING,
    lane_counter,
    register,
)

MEMORY_BASE = 0x4000_0000
NO_ERRORS = (0xFFFF_FFFF, 0)
"""Range of refused bytes that no burst touches."""
RESET_CYCLES = 4
WRITE_DELAY = 2
"""Cycles from the last one that is waited for to the handshake of the register write that follows."""
BOOT_REGISTERS = ("status", "error", "error_index", "config_hash")
"""Read after every run, before the counters."""


class Operation(IntEnum):
    """First number of a line of the script; `testbench.v` says what the other three are."""

    END = 0
    LOAD = 1
    TIMING = 2
    REFUSE = 3
    WRITE = 4
    READ = 5
    POLL = 6
    WAIT = 7
    RESET = 8
    SAVE = 9


@dataclass(frozen=True)
class Plan:
    """One run of the accelerator, or one that is cut short.

    image : the memory before the run, whole words
    program_address, program_bytes : of the program in the image; up to the image's end if `program_bytes` is absent
    latency : cycles from a read address to its first beat, 1 to 1024
    seed : of the memory's stalls, 32 bits; 0: none
    error_range : (first, last) byte of the image whose bursts are refused, both included
    reset_first : reset the hardware before the run
    soft_reset_at : cycle of the run in which the control register takes a soft reset; 0: never
    hard_reset_at : cycle of the run after which the hardware is reset; 0: never
    observed : write what happens in every cycle; only in a testbench that was built with `signals`
    """

    image: bytes
    program_address: int = 0
    program_bytes: int | None = None
    latency: int = 16
    seed: int = 0
    error_range: tuple[int, int] | None = None
    reset_first: bool = False
    soft_reset_at: int = 0
    hard_reset_at: int = 0
    observed: bool = False

    @property
    def length(self) -> int:
        """Bytes of the program."""
        if self.program_bytes is not None:
            return self.program_bytes
        return max(len(self.image) - self.program_address, 0) // INSTRUCTION_BYTES * INSTRUCTION_BYTES


def script(plans: Sequence[Plan], columns: int, max_cycles: int) -> str:
    """All runs, one after the other on the same hardware.

    columns : lanes whose counters are read
    """
    lines = [line(Operation.RESET, RESET_CYCLES)]
    for number, plan in enumerate(plans, start=1):
        lines += _run(number, plan, columns, max_cycles)
    return "".join([*lines, line(Operation.END)])


def line(operation: Operation, *numbers: int) -> str:
    """One line of the script."""
    return " ".join(f"{number:x}" for number in (operation, *numbers, 0, 0, 0)[:4]) + "\n"


def _write(name: str, value: int, starts: bool = False) -> str:
    return line(Operation.WRITE, register(name).offset, value, starts)


def _run(number: int, plan: Plan, columns: int, max_cycles: int) -> list[str]:
    first, last = plan.error_range if plan.error_range is not None else NO_ERRORS
    cut = max(plan.soft_reset_at - WRITE_DELAY, 1) if plan.soft_reset_at else plan.hard_reset_at
    lines = [
        line(Operation.RESET, RESET_CYCLES, not plan.reset_first),
        line(Operation.TIMING, plan.latency, plan.seed, plan.observed),
        line(Operation.REFUSE, first, last),
        line(Operation.LOAD, number, len(plan.image), MEMORY_BASE),
        _write("interrupt_enable", 1),
        _write("program_address", plan.program_address),
        _write("program_bytes", plan.length),
        _write("memory_base", MEMORY_BASE),
        _write("memory_bytes", len(plan.image)),
        _write("control", CONTROL_START, starts=True),
        line(Operation.WAIT, cut or max_cycles, not cut),
    ]
    if plan.soft_reset_at:
        lines += [
            _write("control", CONTROL_RESET),
            line(Operation.POLL, register("status").offset, STATUS_RESETTING, 0),
        ]
    elif plan.hard_reset_at:
        lines.append(line(Operation.RESET, RESET_CYCLES))
    else:
        lines.append(_write("control", CONTROL_ACKNOWLEDGE))
    lines += [line(Operation.READ, register(name).offset, register(name).offset) for name in BOOT_REGISTERS]
    return [
        *lines,
        line(Operation.READ, COUNTERS_OFFSET, COUNTERS_OFFSET + 8 * len(COUNTERS) - 4),
        *(line(Operation.READ, lane_counter(0, c), lane_counter(len(LANE_COUNTERS) - 1, c)) for c in range(columns)),
        line(Operation.SAVE, number),
    ]
