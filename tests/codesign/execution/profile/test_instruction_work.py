"""The work of an instruction, against a count byte by byte."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from codesign.execution.profile import Work, instruction_work
from emulator import AcceleratorConfig
from emulator.instructions import Instruction, Opcode, Target, instruction

WINDOW = {
    "output_height": 3, "output_width": 5, "kernel_height": 2, "kernel_width": 7, "input_height": 9, "input_width": 9,
    "stride_height": 1, "stride_width": 1, "dilation_height": 1, "dilation_width": 1, "pad_top": 0, "pad_left": 0,
    "pixel_rows": 1,
}  # fmt: skip


def pixels(item: Instruction) -> Iterator[int]:
    """Address of each pixel."""
    for line in range(item["lines"]):
        for pixel in range(item["pixels"]):
            yield item["memory_address"] + line * item["line_stride"] + pixel * item["pixel_stride"]


def counted(item: Instruction, word: int, lanes: int) -> Work:
    """Words of each pixel, and pieces in one word and one row, byte by byte."""
    busy = beats = 0
    for address in pixels(item):
        places = [((address + byte) // word, byte // lanes) for byte in range(item["pixel_bytes"])]
        busy += len(set(places))
        beats += len({place for place, _ in places})
    return Work(busy, beats)


def test_transfers_byte_by_byte() -> None:
    rng = np.random.default_rng(3)
    several_offsets = 0
    for _ in range(400):
        config = AcceleratorConfig(
            rows=int(rng.integers(1, 33)), columns=int(rng.integers(1, 33)), bus_bytes=int(rng.choice([8, 16, 32]))
        )
        fields = {
            "wait": 0, "signal": 0, "memory_address": int(rng.integers(0, 1000)), "row": 0,
            "lines": int(rng.integers(1, 5)), "line_stride": int(rng.choice([0, 64, int(rng.integers(0, 300))])),
            "pixels": int(rng.integers(1, 6)), "pixel_stride": int(rng.choice([0, 32, int(rng.integers(0, 300))])),
            "pixel_bytes": int(rng.choice([1, 16, 64, int(rng.integers(1, 300))])), "pixel_rows": 1,
        }  # fmt: skip
        target = int(rng.integers(0, 5))
        store = instruction(Opcode.STORE, **fields)
        load = instruction(Opcode.LOAD, **fields, target=target)
        lanes = config.rows if target == Target.ACTIVATION else config.columns
        assert instruction_work(load, config) == counted(load, config.bus_bytes, lanes)
        assert instruction_work(store, config) == counted(store, config.bus_bytes, config.columns)
        several_offsets += len({address % config.bus_bytes for address in pixels(store)}) > 1
    assert several_offsets > 100


def test_a_pixel_by_hand() -> None:
    """20 bytes from byte 6 on, words of 8, rows of 5: cuts behind bytes 2, 10, 18 and 5, 10, 15: six pieces."""
    config = AcceleratorConfig(rows=5, columns=5, bus_bytes=8)
    item = instruction(
        Opcode.STORE, memory_address=6, row=0, lines=1, line_stride=0, pixels=1, pixel_stride=0, pixel_bytes=20
    )
    assert instruction_work(item, config) == Work(busy=6, beats=4)


def test_the_array_and_post_processing() -> None:
    config = AcceleratorConfig()
    convolve = instruction(Opcode.CONVOLVE, **WINDOW, channel_rows=4)
    assert instruction_work(convolve, config) == Work(3 * 5 * 2 * 7 * 4)
    assert instruction_work(instruction(Opcode.REDUCE, **WINDOW), config) == Work(3 * 5 * 2 * 7)
    requantize = instruction(Opcode.REQUANTIZE, count=33, add=1, further_blocks=0)
    assert instruction_work(requantize, config) == Work(33)
    blocks = instruction(Opcode.REQUANTIZE, count=33, add=1, further_blocks=2)
    assert instruction_work(blocks, config) == Work(33 * 3 + 12 * 2)
    assert instruction_work(blocks, AcceleratorConfig(counters=False)) == Work(33 * 3)
    assert instruction_work(instruction(Opcode.COUNTERS), config) == Work(12)
    assert instruction_work(instruction(Opcode.ADDER), config) == instruction_work(instruction(Opcode.HALT), config)
    assert instruction_work(instruction(Opcode.HALT), config) == Work(0, 0)
