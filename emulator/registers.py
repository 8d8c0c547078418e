"""The register map of the AXI4-Lite slave, declared once for RTL, machine, drivers and documents.

Registers have 32 bits at byte offsets that are multiples of 4; a counter of 64 bits is a pair, low word first. Reads
elsewhere give 0, writes elsewhere and to read-only registers are ignored; every response is OKAY. The lowest two
bits of an address are not looked at; a write changes the bytes whose strobes are set.
"""

from __future__ import annotations

from dataclasses import dataclass

from .front_end import INDEX_BITS
from .instructions import Unit

COUNTER_BITS = 48
"""Width of the counters behind the pairs."""
LANE_COUNTER_BITS = 32
"""Width of each lane's counters."""


@dataclass(frozen=True)
class Register:
    """One register: byte offset, whether it can be written, what it holds; `words` 2: a pair, low word first."""

    name: str
    offset: int
    doc: str
    writable: bool = False
    words: int = 1


CONTROL_START = 1 << 0
CONTROL_RESET = 1 << 1
CONTROL_ACKNOWLEDGE = 1 << 2
STATUS_RUNNING = 1 << 0
STATUS_DONE = 1 << 1
STATUS_ERROR = 1 << 2
STATUS_RESETTING = 1 << 3

COUNTERS = (
    "cycles",
    *(f"{unit.name.lower()}_{kind}" for unit in Unit for kind in ("busy", "stall")),
    "bytes_read",
    "bytes_written",
    "macs",
)
"""Counters of a run, each a pair of registers. `busy`: cycles in which the unit did work; `stall`: in which it had an
instruction (waiting in its queue or executing) and did none. `macs`: rows · columns for each position that entered the
array. `bytes_read`, `bytes_written`: bus_bytes for each beat."""
LANE_COUNTERS = ("overflowed", "clipped", "add_clipped")
LANE_COUNTERS_OFFSET = 0x1000
LANE_PITCH = 16
"""Bytes from lane to lane."""
COUNTERS_OFFSET = 0x80
REGISTER_ADDRESS_BITS = 13

REGISTERS: tuple[Register, ...] = (
    Register("control", 0x00, "1 to bit 0: start; bit 1: soft reset; bit 2: acknowledge the interrupt; reads 0", True),
    Register("status", 0x04, "bit 0 running, bit 1 done, bit 2 stopped by an error, bit 3 soft reset under way"),
    Register("interrupt_enable", 0x08, "bit 0: the interrupt line follows done or error until acknowledged", True),
    Register("error", 0x0C, "error code of the last run"),
    Register("error_index", 0x10, f"index of the instruction at fault, modulo 2^{INDEX_BITS}"),
    Register("program_address", 0x14, "byte offset of the program in the region, a multiple of 32", True),
    Register("program_bytes", 0x18, "length of the program, a multiple of 32", True),
    Register("memory_base", 0x1C, "bus address of the memory region, a multiple of 4096", True),
    Register("memory_bytes", 0x20, "length of the memory region, a multiple of bus_bytes", True),
    Register("config_hash", 0x24, "first 32 bits of the config's hash"),
    *(Register(name, COUNTERS_OFFSET + 8 * index, f"counter {name}", words=2) for index, name in enumerate(COUNTERS)),
)


def register(name: str) -> Register:
    """The register of that name; ``KeyError`` if there is none."""
    for found in REGISTERS:
        if found.name == name:
            return found
    raise KeyError(name)


def lane_counter(index: int, lane: int) -> int:
    """Byte offset of counter `index` of `LANE_COUNTERS` of a lane."""
    return LANE_COUNTERS_OFFSET + lane * LANE_PITCH + 4 * index
