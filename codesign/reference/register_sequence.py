"""The register accesses with which a driver runs a program once, from the register map's declarations."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from emulator.instructions import Error
from emulator.program import Program
from emulator.registers import (
    CONTROL_ACKNOWLEDGE,
    CONTROL_START,
    COUNTERS,
    STATUS_DONE,
    STATUS_ERROR,
    register,
)


@dataclass(frozen=True)
class Access:
    """One step of a driver.

    kind : ``write``, ``read``, or ``wait`` for the interrupt line
    register, offset : the register's name and byte offset; of ``wait`` the status register, for drivers that poll
    value : what is written, or what must be read; None: anything
    doc : what it is for
    """

    kind: str
    register: str
    offset: int
    value: int | None
    doc: str

    def line(self) -> str:
        """For people and for simple parsers: kind, offset, value, name, comment."""
        value = "-" if self.value is None else f"0x{self.value:08x}"
        return f"{self.kind:<5}  0x{self.offset:04x}  {value:<10}  {self.register:<23}  # {self.doc}"


def register_sequence(program: Program, memory_base: int = 0) -> list[Access]:
    """What runs `program` once, its memory region at bus address `memory_base`, and reads what it counted.

    Raises ``ValueError`` for a base that is no multiple of 4096 or behind which the region does not fit 32 bits.
    """
    check_base(memory_base, program.memory_bytes)
    config = int(program.config_hash[:8], 16)
    errors = ", ".join(f"{error.value} {error.name}" for error in Error)
    return [
        _access("read", "config_hash", config, "another value: the program is for another accelerator"),
        _access("write", "memory_base", memory_base, "bus address of the memory region, where image.bin lies"),
        _access("write", "memory_bytes", program.memory_bytes, "length of the region; nothing outside it is touched"),
        _access("write", "program_address", program.program_address, "byte offset of the program in the region"),
        _access("write", "program_bytes", program.program_bytes, f"{len(program.instructions)} instructions"),
        _access("write", "interrupt_enable", 1, "the interrupt line rises when the run ends"),
        _access("write", "control", CONTROL_START, "start; the inputs must lie in the region by now"),
        _access("wait", "status", None, f"for the interrupt line; or poll for {STATUS_DONE} or {STATUS_ERROR}"),
        _access("read", "status", STATUS_DONE, f"{STATUS_ERROR} instead: the run stopped with an error"),
        _access("read", "error", Error.NONE.value, errors),
        _access("read", "error_index", None, "after an error: index of the instruction at fault"),
        _access("write", "control", CONTROL_ACKNOWLEDGE, "the interrupt line falls"),
        *(
            Access("read", f"{name}{part}", register(name).offset + 4 * high, None, "48-bit counter, low word first")
            for name in COUNTERS
            for high, part in enumerate(("", "_high"))
        ),
    ]


def check_base(memory_base: int, memory_bytes: int = 0) -> None:
    """Raise ``ValueError`` unless a region of that length can begin at that bus address."""
    if memory_base % 4096 or not 0 <= memory_base <= (1 << 32) - memory_bytes:
        limit = f"at most 2^32 − {memory_bytes}" if memory_bytes else "below 2^32"
        raise ValueError(f"memory_base must be a multiple of 4096, {limit}, not {memory_base}")


def _access(kind: str, name: str, value: int | None, doc: str) -> Access:
    return Access(kind, name, register(name).offset, value, doc)


def registers_text(sequence: list[Access]) -> str:
    """``registers.txt``."""
    head = (
        "# Runs the program once: accesses of 32 bits, byte offsets from the AXI4-Lite slave's base. Before the first\n"
        "# run, rst is 1 for a clock edge; in a four-state simulator it must rise after time 0.\n"
        "# kind, offset, value (written, or to be read; -: any), register, what for\n"
    )
    return head + "".join(f"{access.line()}\n" for access in sequence)


def registers_dict(sequence: list[Access]) -> dict[str, Any]:
    """``registers.json``."""
    return {"registers": [asdict(access) for access in sequence]}
