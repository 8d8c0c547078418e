"""The transfer unit behind a memory that stalls: requests and writes wait, answers come late, the bytes are right."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest
from amaranth.sim import Simulator

from emulator import AcceleratorConfig
from emulator.instructions import FORMATS, Instruction, Opcode, Target
from rtl.transfer_unit import TransferUnit

CONFIG = AcceleratorConfig(
    rows=5, columns=3, activation_scratchpad_bytes=5 * 40, weight_scratchpad_bytes=3 * 60,
    output_scratchpad_bytes=3 * 60, accumulator_bytes=120,
)  # fmt: skip
WIDTH = CONFIG.bus_bytes
MEMORY_BYTES = 1024


def random_transfer(rng: np.random.Generator, opcode: Opcode) -> Instruction:
    fields = {field.name: 0 for field in FORMATS[opcode]} | {
        "memory_address": int(rng.integers(0, 200)),
        "row": int(rng.integers(0, 5)),
        "lines": int(rng.integers(1, 4)),
        "line_stride": int(rng.integers(20, 60)),
        "pixels": int(rng.integers(1, 4)),
        "pixel_stride": int(rng.integers(0, 20)),
        "pixel_bytes": int(rng.integers(1, 14)),
    }
    if opcode == Opcode.LOAD:
        fields["target"] = int(rng.choice(list(Target)))
    return Instruction(opcode, fields)


def rows_of(instruction: Instruction, lanes: int) -> list[tuple[int, int]]:
    """(first byte in memory, bytes) of each scratchpad row, by plain loops."""
    rows = []
    for line in range(instruction["lines"]):
        for pixel in range(instruction["pixels"]):
            start = instruction["memory_address"]
            start += line * instruction["line_stride"] + pixel * instruction["pixel_stride"]
            for first in range(0, instruction["pixel_bytes"], lanes):
                rows.append((start + first, min(lanes, instruction["pixel_bytes"] - first)))
    return rows


def run(
    instruction: Instruction, memory: bytearray, codes: np.ndarray, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Execute against a memory of random delays; `memory` is written; returns the scratchpads, −1 where untouched."""
    unit = TransferUnit(CONFIG)
    pads = {
        "activation_write": np.full((CONFIG.activation_depth, CONFIG.rows), -1),
        "weight_write": np.full((CONFIG.weight_depth, CONFIG.columns), -1),
        "code_write": np.full((CONFIG.output_depth, CONFIG.columns), -1),
    }
    answers: deque[int] = deque()

    async def bench(ctx):
        ctx.set(unit.instruction, int.from_bytes(instruction.encode(), "little"))
        ctx.set(unit.memory_bytes, MEMORY_BYTES)
        ctx.set(unit.start, 1)
        await ctx.tick()
        ctx.set(unit.start, 0)
        row = 0
        for _ in range(2000):
            read_ready, write_ready = rng.random() < 0.5, rng.random() < 0.5
            answer = bool(answers) and rng.random() < 0.4
            ctx.set(unit.port.read.ready, read_ready)
            ctx.set(unit.port.write.ready, write_ready)
            ctx.set(unit.port.read_data.valid, answer)
            if answer:
                word = answers[0] * WIDTH
                ctx.set(unit.port.read_data.payload, int.from_bytes(memory[word : word + WIDTH], "little"))
            for lane in range(CONFIG.columns):
                ctx.set(unit.code[lane], int(codes[row, lane]))
            for name, pad in pads.items():
                enables = ctx.get(getattr(unit, name))
                for lane in range(pad.shape[1]):
                    if enables >> lane & 1:
                        pad[ctx.get(unit.write_address), lane] = ctx.get(unit.write_data[lane])
            if write_ready and ctx.get(unit.port.write.valid):
                word = ctx.get(unit.port.write.payload.address) * WIDTH
                data, mask = ctx.get(unit.port.write.payload.data), ctx.get(unit.port.write.payload.mask)
                for byte in range(WIDTH):
                    if mask >> byte & 1:
                        memory[word + byte] = data >> (8 * byte) & 255
            if answer:
                answers.popleft()
            if read_ready and ctx.get(unit.port.read.valid):
                answers.append(ctx.get(unit.port.read.payload))
            row = ctx.get(unit.code_address)
            if ctx.get(unit.done):
                assert not ctx.get(unit.fault)
                return
            await ctx.tick()
        raise AssertionError("the transfer does not end")

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return pads


@pytest.mark.parametrize("seed", range(12))
def test_load(seed: int) -> None:
    rng = np.random.default_rng(seed)
    instruction, memory = random_transfer(rng, Opcode.LOAD), bytearray(rng.bytes(MEMORY_BYTES))
    before = bytes(memory)
    pads = run(instruction, memory, np.zeros((CONFIG.output_depth, CONFIG.columns), np.uint8), rng)
    name = ("activation_write", "weight_write", "code_write")[instruction["target"]]
    lanes = pads[name].shape[1]
    expected = np.full_like(pads[name], -1)
    for index, (start, size) in enumerate(rows_of(instruction, lanes)):
        expected[instruction["row"] + index] = [*before[start : start + size], *[0] * (lanes - size)]
    np.testing.assert_array_equal(pads.pop(name), expected)
    assert all((pad == -1).all() for pad in pads.values()) and bytes(memory) == before


@pytest.mark.parametrize("seed", range(12))
def test_store(seed: int) -> None:
    rng = np.random.default_rng(seed)
    instruction, memory = random_transfer(rng, Opcode.STORE), bytearray(rng.bytes(MEMORY_BYTES))
    codes = rng.integers(0, 256, (CONFIG.output_depth, CONFIG.columns), dtype=np.uint8)
    expected = bytearray(memory)
    for index, (start, size) in enumerate(rows_of(instruction, CONFIG.columns)):
        expected[start : start + size] = codes[instruction["row"] + index, :size].tobytes()
    run(instruction, memory, codes, rng)
    assert memory == expected
