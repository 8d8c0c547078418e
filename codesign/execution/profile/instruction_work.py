"""What one instruction makes its unit and the bus do: exact counts, a function of its fields and the config."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from emulator.config import AcceleratorConfig
from emulator.depthwise_segments import depthwise_cycles
from emulator.instructions import COUNTER_ROWS, Instruction, Opcode, Target


class Work(NamedTuple):
    """Counts of one instruction that runs to its end, whatever waits it meets.

    busy : cycles that the hardware's counter ``…_busy`` of its unit grows by
    beats : words that cross the bus; those of a LOAD are read, those of a STORE written
    """

    busy: int
    beats: int = 0


def instruction_work(item: Instruction, config: AcceleratorConfig) -> Work:
    """The work of an instruction, its own fetch left out.

    CONVOLVE: a cycle for each position of each tile. Post-processing: a cycle for each row that it reads. LOAD and
    STORE: a beat for each word of the bus that holds a byte of a pixel, pixel by pixel; and a cycle for each piece of
    a pixel that lies in one word of the bus and in one row of the scratchpad.
    """
    match item.opcode:
        case Opcode.LOAD | Opcode.STORE:
            return _transfer(item, config)
        case Opcode.CONVOLVE | Opcode.REDUCE:
            rows = item["output_height"] * item["output_width"] * item["kernel_height"] * item["kernel_width"]
            if item.opcode == Opcode.CONVOLVE:
                rows *= item["channel_rows"] * (item["further_blocks"] + 1)
            return Work(rows)
        case Opcode.DEPTHWISE:
            return Work(depthwise_cycles(item.fields, config.depthwise_taps))
        case Opcode.REQUANTIZE:
            further = item["further_blocks"]
            return Work(item["count"] * (further + 1) + further * COUNTER_ROWS * config.counters)
        case Opcode.COUNTERS:
            return Work(COUNTER_ROWS)
    return Work(0)


def _transfer(item: Instruction, config: AcceleratorConfig) -> Work:
    word, size = config.bus_bytes, item["pixel_bytes"]
    activation = item.opcode == Opcode.LOAD and item["target"] == Target.ACTIVATION
    lanes = config.rows if activation else config.columns
    lines, pixels = item["lines"], item["pixels"]
    line_stride, pixel_stride = item["line_stride"] % word, item["pixel_stride"] % word
    first = item["memory_address"] % word
    if (line_stride == 0 or lines == 1) and (pixel_stride == 0 or pixels == 1):
        counts = {first: lines * pixels}
    else:
        line = first + np.arange(lines) * line_stride
        offsets = (line[:, None] + np.arange(pixels) * pixel_stride) % word
        found, number = np.unique(offsets, return_counts=True)
        counts = dict(zip(found.tolist(), number.tolist(), strict=True))
    busy = beats = 0
    for offset, count in counts.items():
        words = (offset + size - 1) // word + 1
        rows = -(-size // lanes)
        busy += count * (words + rows - 1 - _common_cuts(offset, size, word, lanes))
        beats += count * words
    return Work(busy, beats)


def _common_cuts(offset: int, size: int, word: int, lanes: int) -> int:
    """Places inside a pixel where both a word of the bus and a row of the scratchpad end.

    A place p has p ≡ −offset modulo `word` and p ≡ 0 modulo `lanes`.
    """
    for place in range(lanes, min(size, math.lcm(word, lanes) + 1), lanes):
        if (place + offset) % word == 0:
            return (size - 1 - place) // math.lcm(word, lanes) + 1
    return 0
