"""About how long an instruction keeps its unit busy: what cuts and the order of layers are chosen by."""

from __future__ import annotations

from collections.abc import Mapping

from emulator.config import AcceleratorConfig
from emulator.depthwise_segments import depthwise_segments
from emulator.instructions import Opcode
from emulator.timing import sum_round_trip

from .operation import Operation

TRANSFER_CYCLES = 44
"""Of a LOAD or STORE besides its bursts."""
START_CYCLES = 48
"""From the start of a run to that of the first instruction."""
HALF_BURST_CYCLES = 5
"""Half cycles that a burst takes at least: 16 of them are under way, and a memory answers after some 32 cycles."""
ARRAY_CYCLES = 4
"""Of an instruction of the array besides its positions."""
LANES_CYCLES, LEAST_CYCLES = 4, 30
"""Of an instruction of post-processing besides its positions, until the next one can begin; all of a short one."""
LANES_TRIP = 46
"""From there until its last row is written."""
COUNTERS_CYCLES = 5
"""Of COUNTERS besides their rows: they follow at once, and what comes next is set up before the last row is written."""
TRIP_CYCLES = 64
"""From the end of a LOAD or STORE in its unit to the end of its effect."""


def duration(operation: Operation, config: AcceleratorConfig) -> int:
    """Cycles of an operation, as far as its fields tell."""
    if operation.cycles < 0:
        operation.cycles = _duration(operation, config)
    return operation.cycles


def _duration(operation: Operation, config: AcceleratorConfig) -> int:
    fields = operation.fields
    match operation.opcode:
        case Opcode.LOAD | Opcode.STORE:
            cycles = transfer_cycles(fields["lines"] * fields["pixels"], fields["pixel_bytes"], config.bus_bytes)
            # Two LOADs are under way.
            return cycles if operation.opcode == Opcode.STORE else max(cycles - TRANSFER_CYCLES, cycles // 2)
        case Opcode.REQUANTIZE:
            further = fields.get("further_blocks", 0)
            counters = LEAST_CYCLES if config.counters else 0
            return (further + 1) * max(LANES_CYCLES + fields["count"], LEAST_CYCLES) + further * counters
        case Opcode.COUNTERS:
            # More than COUNTERS_CYCLES and their rows, which cuts reckon with: weighed as any short instruction, they
            # give the better order of layers (MobileNetV1-0.25 by 2 %).
            return LEAST_CYCLES
        case Opcode.CONVOLVE:
            return ARRAY_CYCLES + _array_cycles(fields, config)
        case Opcode.REDUCE:
            return LANES_CYCLES + _positions(fields)
        case Opcode.DEPTHWISE:
            kernel = fields["kernel_height"], fields["kernel_width"]
            geometry = fields["dilation_width"], fields["stride_width"], config.depthwise_taps
            line = line_cycles(fields["output_width"], kernel, *geometry)
            return LANES_CYCLES + fields["output_height"] * line
    return 1


def transfer_cycles(pixels: int, pixel_bytes: int, bus_bytes: int) -> int:
    """Cycles of a LOAD or STORE of so many pixels, each of which is a burst."""
    return TRANSFER_CYCLES + pixels * max(2 * -(-pixel_bytes // bus_bytes), HALF_BURST_CYCLES) // 2


def line_cycles(pixels: int, kernel: tuple[int, int], dilation: int, stride: int, taps: int) -> int:
    """Cycles of a line of so many outputs of a DEPTHWISE."""
    widths = [segment.columns for segment in depthwise_segments(*kernel, dilation, taps)]
    return sum((pixels - 1) * min(stride, width) + width for width in widths)


def _array_cycles(fields: Mapping[str, int], config: AcceleratorConfig) -> int:
    """Cycles of all tiles: a tile's weights take as long as the array has rows, its sums come back later still."""
    positions, rows = fields["output_height"] * fields["output_width"], config.rows
    tiles = fields["kernel_height"] * fields["kernel_width"] * fields["channel_rows"]
    further = fields.get("further_blocks", 0)
    if config.dataflow == "output_stationary":
        return -(-positions // rows) * rows * tiles
    if further or tiles == 1:
        return max(positions, rows) * tiles * (further + 1)
    return max(positions, sum_round_trip(config)) * tiles


def _positions(fields: Mapping[str, int]) -> int:
    """Positions of a window, once for each of the kernel's."""
    return fields["output_height"] * fields["output_width"] * fields["kernel_height"] * fields["kernel_width"]
