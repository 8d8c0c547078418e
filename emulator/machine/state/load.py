"""LOAD's registers, and rows under way."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...config import AcceleratorConfig
from ...instructions import Opcode
from ...timing import LOAD_WRITE_DELAY
from ..compiled import MAX_FIELDS, fields_record
from .bursts import BURSTS, OVERLAPS
from .records import Records, record

SLOTS = LOAD_WRITE_DELAY + 1
"""Rows under way: `LOAD_WRITE_DELAY` complete ones, and one in the making."""
REGISTERS = record(
    "walking",  # bursts of `fields` are to be asked for
    "start",  # the first cycle of an instruction
    "pending",  # the beats of `fields` come after those of `next`
    "waiting",  # the beats of `next` come after those of `current`
    "fresh",  # the first cycle of `next`
    "moving",  # beats of `current` are to come
    "stopped",  # there was a fault
    "dropping",  # there was an error response
    "halted",
    "index",
    "next_index",
    "current_index",
    "owed",  # bursts whose last beat is to come
    "stepped",  # bits: an overlap in the cycle before, and in the one before that
    "complete",  # bit k: a row was completed k cycles ago
    "last",  # bit k: the last row was
    "making",  # slot of the row in the making
    "writing",  # slot of the row to write next
)
PLACE = record("row", "target")
ENDING = record("index", "signals")


class Load(NamedTuple):
    """Registers; fields of instructions, as integers and as a record; rows under way (SLOTS, lanes), their places.

    fields, next, current : of the instruction whose bursts are asked for; that waits for its beats; whose beats come
    endings (LOAD_WRITE_DELAY) : whose last beat has come, by cycles since then
    """

    registers: Records
    raw: NDArray[np.int64]
    fields: Records
    next_raw: NDArray[np.int64]
    current_raw: NDArray[np.int64]
    current: Records
    bursts: Records
    overlaps: Records
    rows: NDArray[np.int8]
    places: Records
    endings: Records


def allocate(config: AcceleratorConfig) -> Load:
    """An idle unit."""
    raw, current = np.zeros(MAX_FIELDS, np.int64), np.zeros(MAX_FIELDS, np.int64)
    lanes = max(config.rows, config.columns)
    return Load(
        registers=np.zeros(1, REGISTERS),
        raw=raw,
        fields=fields_record(raw, Opcode.LOAD),
        next_raw=np.zeros(MAX_FIELDS, np.int64),
        current_raw=current,
        current=fields_record(current, Opcode.LOAD),
        bursts=np.zeros(1, BURSTS),
        overlaps=np.zeros(1, OVERLAPS),
        rows=np.zeros((SLOTS, lanes), np.int8),
        places=np.zeros(SLOTS, PLACE),
        endings=np.zeros(LOAD_WRITE_DELAY, ENDING),
    )
