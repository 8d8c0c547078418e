"""STORE's registers, and beats under way."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...config import AcceleratorConfig
from ...instructions import Opcode
from ..compiled import MAX_FIELDS, fields_record
from .bursts import BURSTS, OVERLAPS
from .records import Records, record

SLOTS = 16
"""Beats under way, with room to keep one that was sent until the end of its cycle."""
REGISTERS = record(
    "active",  # bursts are to be asked for, or rows to be read
    "start",  # the first cycle of an instruction
    "stopped",  # there was a fault
    "index",
    "waiting",  # an instruction waits for responses
    "older",  # so many
    "older_index",
    "older_signals",
    "unread",  # bursts asked for whose rows are not all read
    "reserved",  # beats read and not sent
    "level",  # beats in the write buffer
    "complete",  # bit k: a beat was completed k cycles ago
    "making",  # slot of the beat in the making
    "begun",  # it has bytes
    "sending",  # slot of the beat to send next
)
MADE = record("address", "first", "end", "last")
BEAT = record("slot", "first", "end")


class Store(NamedTuple):
    """Registers; the instruction's fields, as integers and as a record; beats under way (SLOTS): place, bytes, data.

    beat : wires: slot of the beat on the bus, its first byte in use and the one after its last
    """

    registers: Records
    raw: NDArray[np.int64]
    fields: Records
    bursts: Records
    overlaps: Records
    beats: Records
    beat: Records
    data: NDArray[np.uint8]


def allocate(config: AcceleratorConfig) -> Store:
    """An idle unit."""
    raw = np.zeros(MAX_FIELDS, np.int64)
    return Store(
        registers=np.zeros(1, REGISTERS),
        raw=raw,
        fields=fields_record(raw, Opcode.LOAD),  # STORE's format is its beginning
        bursts=np.zeros(1, BURSTS),
        overlaps=np.zeros(1, OVERLAPS),
        beats=np.zeros(SLOTS, MADE),
        beat=np.zeros(1, BEAT),
        data=np.zeros((SLOTS, config.bus_bytes), np.uint8),
    )
