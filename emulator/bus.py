"""Limits of the bus traffic, which machine and RTL share; those of AXI4 are from ARM IHI 0022, section A3.4.1."""

from __future__ import annotations

BURST_BEATS = 256
"""Most beats of an INCR burst."""
BOUNDARY_BYTES = 4096
"""A burst stays between two multiples of this."""
OUTSTANDING = 16
"""Most bursts per direction between the loading of an address register and the last beat or the response; a read counts
for one more cycle after its last beat."""
WRITE_BEATS = 8
"""Beats in the write buffer: those that the pipeline in front of it can hold, and enough for a beat a cycle."""


def burst_beats(bus_bytes: int) -> int:
    """Words from one multiple of which to the next a burst may reach: at most 256 beats, and never across 4 KiB."""
    return min(BURST_BEATS, BOUNDARY_BYTES // bus_bytes)
