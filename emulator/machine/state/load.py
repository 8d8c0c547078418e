"""LOAD's registers, and rows under way."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...config import AcceleratorConfig
from ...instructions import Opcode
from ..compiled import MAX_FIELDS, fields_record
from .bursts import BURSTS, OVERLAPS
from .records import Records, record

SLOTS = 5
"""Rows under way: WRITE_CYCLES complete ones, and one in the making."""
REGISTERS = record(
    "active",
    "start",  # the first cycle of an instruction
    "stopped",  # there was a fault
    "dropping",  # there was an error response
    "index",
    "owed",  # bursts whose last beat is to come
    "stepped",  # bits: an overlap in the cycle before, and in the one before that
    "complete",  # bit k: a row was completed k cycles ago
    "last",  # bit k: the last row was
    "making",  # slot of the row in the making
    "writing",  # slot of the row to write next
)


class Load(NamedTuple):
    """Registers; the instruction's fields, as integers and as a record; rows under way (SLOTS, lanes), their places."""

    registers: Records
    raw: NDArray[np.int64]
    fields: Records
    bursts: Records
    overlaps: Records
    rows: NDArray[np.int8]
    places: NDArray[np.int64]


def allocate(config: AcceleratorConfig) -> Load:
    """An idle unit."""
    raw = np.zeros(MAX_FIELDS, np.int64)
    lanes = max(config.rows, config.columns)
    return Load(
        registers=np.zeros(1, REGISTERS),
        raw=raw,
        fields=fields_record(raw, Opcode.LOAD),
        bursts=np.zeros(1, BURSTS),
        overlaps=np.zeros(1, OVERLAPS),
        rows=np.zeros((SLOTS, lanes), np.int8),
        places=np.zeros(SLOTS, np.int64),
    )
