"""How the output scratchpad is shared by results that are made, results that are being stored, and counters."""

from __future__ import annotations

from emulator.config import AcceleratorConfig
from emulator.instructions import COUNTER_ROWS

COUNTER_BLOCKS_MOST, COUNTER_SHARE = 8, 16
"""Blocks whose counters are stored together, and the share of the rows that they may take."""
SMALL = 256
"""Rows of a scratchpad that layers side by side do not share."""


def counter_blocks(config: AcceleratorConfig) -> int:
    """Blocks whose counters are stored together."""
    return max(min(config.output_depth // COUNTER_SHARE // COUNTER_ROWS, COUNTER_BLOCKS_MOST), 1)


def output_room(config: AcceleratorConfig, several: bool) -> int:
    """Rows that results may take which are stored together, those of several blocks or of one."""
    if config.output_depth >= SMALL:
        counters = 2 * counter_blocks(config) * COUNTER_ROWS if config.counters else 0
        return (config.output_depth - counters) // 3
    return config.output_depth // 2 - (COUNTER_ROWS if several and config.counters else 0)
