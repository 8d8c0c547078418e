"""The read arbiter's registers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...config import AcceleratorConfig
from .records import Records, record

REGISTERS = record(
    "loads_turn",
    "owners",  # bit k: the burst k under way, oldest first, is LOAD's
    "ended",  # the oldest one had its last beat in the cycle before
)


class Arbiter(NamedTuple):
    """Registers beside the address register and the number of bursts under way, which `bus` shows."""

    registers: Records


def allocate(config: AcceleratorConfig) -> Arbiter:
    """Nothing under way."""
    return Arbiter(np.zeros(1, REGISTERS))
