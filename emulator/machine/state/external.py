"""The external memory's registers, and bursts under way."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...config import AcceleratorConfig
from ...timing import MAX_LATENCY
from .records import Records, record

NONE = (1 << 32, -1)
"""Range of refused bytes that no burst touches."""
BURSTS = 16
"""Bursts in flight per direction."""
REGISTERS = record(
    "bus_bytes",
    "latency",
    "error_first",
    "error_last",
    "clock",  # cycles since the first read address of the run
    "stall",
    "running",
    "ar_taken",  # this cycle's handshakes, kept before the masters' registers change
    "ar_address",
    "ar_beats",
    "aw_taken",
    "aw_address",
    "aw_beats",
    "read_head",
    "read_count",
    "read_beat",
    "r_held",
    "write_head",
    "write_count",
    "response_head",
    "response_count",
)
READ = record("address", "beats", "due", "error")
WRITE = record("error")
RESPONSE = record("due", "error")


class External(NamedTuple):
    """Registers of the memory; rings of read bursts, of write bursts without their last beat, of responses to come."""

    registers: Records
    reads: Records
    writes: Records
    responses: Records


def allocate(config: AcceleratorConfig) -> External:
    """A memory of latency 1 without stalls."""
    external = External(
        np.zeros(1, REGISTERS), np.zeros(BURSTS, READ), np.zeros(BURSTS, WRITE), np.zeros(BURSTS, RESPONSE)
    )
    configure(external, 1)
    external.registers["bus_bytes"] = config.bus_bytes
    return external


def configure(external: External, latency: int, seed: int = 0, error_first: int = 1, error_last: int = 0) -> None:
    """Empty the memory's queues and set how it behaves in the run that follows.

    latency : 1 to MAX_LATENCY cycles
    seed : first state of the stall register, 32 bits; 0: no stalls
    error_first, error_last : bytes of the region whose bursts are refused, both included; none if first > last
    """
    if type(latency) is not int or not 1 <= latency <= MAX_LATENCY:
        raise ValueError(f"latency must be an integer from 1 to {MAX_LATENCY}, not {latency!r}")
    if type(seed) is not int or not 0 <= seed < 1 << 32:
        raise ValueError(f"seed must be an integer from 0 to 2^32 − 1, not {seed!r}")
    registers = external.registers
    bus_bytes = int(registers["bus_bytes"][0])
    for array in external:
        array[:] = np.zeros((), array.dtype)
    registers["bus_bytes"], registers["latency"], registers["stall"] = bus_bytes, latency, seed
    registers["error_first"], registers["error_last"] = (error_first, error_last) if error_first <= error_last else NONE
