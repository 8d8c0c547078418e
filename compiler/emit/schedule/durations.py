"""About how long an instruction keeps its unit busy: what the order of layers that run side by side is chosen by."""

from __future__ import annotations

from emulator.config import AcceleratorConfig
from emulator.instructions import COUNTER_ROWS, Opcode

from .operation import Operation, Transfer

TRANSFER_CYCLES, BURST_CYCLES = 8, 2
"""Of a LOAD or STORE besides its beats; the least that a burst takes."""
UNIT_CYCLES = 16
"""Of an instruction of the array or of post-processing besides its positions."""
TRIP_CYCLES = 64
"""From the end of a LOAD or STORE in its unit to the end of its effect."""


def duration(operation: Operation, config: AcceleratorConfig) -> int:
    """Cycles of an operation, as far as its fields tell."""
    fields = operation.fields
    if "pixel_bytes" in fields:
        return transfer_duration(
            Transfer(0, fields["lines"], 0, fields["pixels"], 0, fields["pixel_bytes"]), config.bus_bytes
        )
    match operation.opcode:
        case Opcode.REQUANTIZE:
            return UNIT_CYCLES + fields["count"]
        case Opcode.COUNTERS:
            return UNIT_CYCLES + COUNTER_ROWS
        case Opcode.ADDER:
            return 1
    kernel = fields["kernel_height"], fields["kernel_width"]
    steps = kernel[0] * kernel[1] * fields.get("channel_rows", 1)
    return UNIT_CYCLES + fields["output_height"] * fields["output_width"] * steps


def transfer_duration(transfer: Transfer, bus_bytes: int) -> int:
    """Cycles of a LOAD or STORE of these bytes, whose pixels are bursts."""
    beats = -(-transfer.pixel_bytes // bus_bytes)
    return TRANSFER_CYCLES + transfer.lines * transfer.pixels * max(beats, BURST_CYCLES)
