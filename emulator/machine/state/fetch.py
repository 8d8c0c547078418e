"""The fetch's registers and its buffer."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...config import AcceleratorConfig
from ...front_end import FETCH_AHEAD
from ...instructions import INSTRUCTION_BYTES
from .records import Records, record

REGISTERS = record(
    "state",
    "address",  # of the next instruction, a byte offset
    "remaining",  # instructions up to the program's end
    "room",  # instructions up to the region's end
    "end",  # error of the instruction after the last one that can be fetched
    "read",
    "write",
    "arrived",  # a word came in the cycle before
    "level",  # words that can be read from the buffer
    "reserved",  # words asked for and not yet taken out of the buffer
    "expected",  # words asked for that have not arrived
    "shift",  # wire: the decoder takes a word
)


class Fetch(NamedTuple):
    """Registers; words (FETCH_AHEAD instructions, bus_bytes) and whether the bus refused them."""

    registers: Records
    words: NDArray[np.uint8]
    errors: NDArray[np.uint8]


def allocate(config: AcceleratorConfig) -> Fetch:
    """An empty buffer."""
    words = FETCH_AHEAD * (INSTRUCTION_BYTES // config.bus_bytes)
    return Fetch(np.zeros(1, REGISTERS), np.zeros((words, config.bus_bytes), np.uint8), np.zeros(words, np.uint8))
