"""Registers of decoder, queues and tokens."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...config import AcceleratorConfig
from ...instructions import INSTRUCTION_BYTES, QUEUE_DEPTH, Unit
from ..compiled import MAX_FIELDS
from .records import Records, record

UNITS = len(Unit)
REGISTERS = record(
    "gathered",  # words of the next instruction that have been taken
    "refused",  # the bus refused one of them
    "index",  # of the next instruction
    "stage",  # of the instruction in the decoder: 0 none, 1 … DECODE_STAGES, then stopped
    "code_index",
    "code_error",
    "ended",  # HALT has been decoded
    "fault",
    "fault_code",
    "fault_index",
    "halt",  # wire: control's
    "stopping",  # wire: control's
    "stop",  # wire: no further request
    "idle",  # wire: no unit is busy and the fetch waits for nothing
    "quiet",  # wire: nothing moves
    "resting",  # nothing has changed in the cycle before, in the fetch neither
)
QUEUE = record(
    "level",
    "read",
    "write",
    "valid",
    "eligible",
    "asleep",  # the head has been looked at since a token last changed
    "present",
    "opcode",
    "index",
)
TOKEN_FAULT = record("fault", "index")
SEEN = record("finished", "signals", "finished_index", "fault", "fault_code", "fault_index", "busy")


class Front(NamedTuple):
    """Registers of decoder, queues and tokens.

    gathered (INSTRUCTION_BYTES) : the next instruction's bytes so far
    code (INSTRUCTION_BYTES), fields (MAX_FIELDS) : of the instruction in the decoder
    queues : per unit
    entries (units, QUEUE_DEPTH, 2 + MAX_FIELDS) : opcode, index, fields; heads (units, MAX_FIELDS) : fields
    tokens (units, units) : counter [from][to]; token_faults : per unit, of what it finished
    seen : per unit, its port's registers of this cycle
    """

    registers: Records
    gathered: NDArray[np.uint8]
    code: NDArray[np.uint8]
    fields: NDArray[np.int64]
    queues: Records
    entries: NDArray[np.int64]
    heads: NDArray[np.int64]
    tokens: NDArray[np.int64]
    token_faults: Records
    seen: Records


def allocate(config: AcceleratorConfig) -> Front:
    """Nothing decoded, no tokens."""
    return Front(
        np.zeros(1, REGISTERS),
        np.zeros(INSTRUCTION_BYTES, np.uint8),
        np.zeros(INSTRUCTION_BYTES, np.uint8),
        np.zeros(MAX_FIELDS, np.int64),
        np.zeros(UNITS, QUEUE),
        np.zeros((UNITS, QUEUE_DEPTH, 2 + MAX_FIELDS), np.int64),
        np.zeros((UNITS, MAX_FIELDS), np.int64),
        np.zeros((UNITS, UNITS), np.int64),
        np.zeros(UNITS, TOKEN_FAULT),
        np.zeros(UNITS, SEEN),
    )
