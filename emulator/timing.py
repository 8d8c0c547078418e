"""Cycle counts that machine and RTL share: the lengths of the pipelines and what each state of the sequencer takes.

Cycles of one instruction, from its fetch to the next one's: fetch (32 / bus_bytes + memory latency), decode (1), and
execute:

LOAD        words + latency + 1
STORE       words + 2
others      `PREPARE_CYCLES` + the last step's number (stalls included) + the drain of the pipeline
"""

from __future__ import annotations

from .config import AcceleratorConfig
from .instructions import INSTRUCTION_BYTES

DEFAULT_LATENCY = 16
"""Cycles from a read's acceptance to its word, in simulated and emulated memory, unless told otherwise."""
DECODE_CYCLES = 1
PREPARE_CYCLES = 3
"""Cycles from a unit's start to its first step."""
REQUANTIZER_LATENCY = 5
"""Cycles from operand to code."""
RESULT_LATENCY = 2 + REQUANTIZER_LATENCY
"""Cycles from a column lane's read control to the cycle that writes its code."""


def fetch_cycles(config: AcceleratorConfig, latency: int) -> int:
    """Cycles of an instruction's fetch."""
    return INSTRUCTION_BYTES // config.bus_bytes + latency


def sum_read_delay() -> int:
    """Cycles from issuing a position until column lane 0 reads its sum."""
    return 3


def sum_write_delay(config: AcceleratorConfig) -> int:
    """Cycles from issuing a position until column lane 0 writes its sum."""
    return config.rows + 4


def sum_round_trip(config: AcceleratorConfig) -> int:
    """Least cycles between issuing two positions of which the second reads the sum that the first writes."""
    return sum_write_delay(config) + 1 - sum_read_delay()


def convolve_drain_cycles(config: AcceleratorConfig) -> int:
    """Cycles from the last position until the last lane has written its sum."""
    return config.rows + config.columns + 4


def post_process_drain_cycles(config: AcceleratorConfig) -> int:
    """Cycles from the last step until the last lane has written its code."""
    return config.columns + RESULT_LATENCY + 3
