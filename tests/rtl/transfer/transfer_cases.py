"""Random transfers, and what they must do, by plain loops."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from emulator.config import AcceleratorConfig
from emulator.instructions import FORMATS, Instruction, Opcode, Target
from emulator.machine.state import state

DEPTHWISE_PITCH = {0: 0, 1: 1, 3: 4, 9: 16}
"""Rows from word to word of a depthwise chain's weights, by its taps."""


def random_config(rng: np.random.Generator) -> AcceleratorConfig:
    """Any bus, lanes that are powers of two and others, small scratchpads."""
    rows, columns = (int(rng.choice([1, 3, 5, 8, 11, 16, 33, 64])) for _ in range(2))
    depth = int(rng.choice([16, 60, 200]))
    return AcceleratorConfig(
        rows=rows,
        columns=columns,
        bus_bytes=int(rng.choice([8, 16, 32])),
        activation_scratchpad_bytes=rows * depth,
        weight_scratchpad_bytes=columns * max(depth + 3, 2 * rows),
        operand_scratchpad_bytes=columns * (depth + 1),
        output_scratchpad_bytes=columns * (depth + 2),
        accumulator_bytes=16 * columns,
        depthwise_taps=int(rng.choice(list(DEPTHWISE_PITCH))),
    )


def transfer_fields(opcode: Opcode) -> dict[str, int]:
    """The fields of a transfer of one byte."""
    ones = dict.fromkeys(("lines", "pixels", "pixel_bytes"), 1)
    return {field.name: 0 for field in FORMATS[opcode]} | ones


def pixels(instruction: Instruction) -> Iterator[tuple[int, int]]:
    """(memory address, scratchpad row) of each pixel, by plain loops."""
    row = instruction["row"]
    for line in range(instruction["lines"]):
        for pixel in range(instruction["pixels"]):
            address = instruction["memory_address"]
            address += line * instruction["line_stride"] + pixel * instruction["pixel_stride"]
            yield address % (1 << 32), row % (1 << 20)
            row += instruction["pixel_rows"]


def depth_of(config: AcceleratorConfig, instruction: Instruction) -> tuple[int, int]:
    """(lanes, rows) of the scratchpad of a LOAD or STORE."""
    if instruction.opcode == Opcode.STORE:
        return config.columns, config.output_depth
    return {
        Target.ACTIVATION: (config.rows, config.activation_depth),
        Target.WEIGHT: (config.columns, config.weight_depth),
        Target.OPERAND: (config.columns, config.operand_depth),
        Target.PARAMETER: (config.columns, 256),
        Target.TABLE: (config.columns, 1 << config.arithmetic.activation_bits),
        Target.DEPTHWISE: (config.columns, 64 * DEPTHWISE_PITCH[config.depthwise_taps]),
    }[Target(instruction["target"])]


def legal(config: AcceleratorConfig, instruction: Instruction, memory_bytes: int) -> int:
    """Pixels before the first illegal one, or all."""
    lanes, depth = depth_of(config, instruction)
    count = 0
    for address, row in pixels(instruction):
        rows = -(-instruction["pixel_bytes"] // lanes)
        if address + instruction["pixel_bytes"] > memory_bytes or row + rows > depth:
            return count
        count += 1
    return count


def random_transfer(
    rng: np.random.Generator, config: AcceleratorConfig, opcode: Opcode, memory_bytes: int, illegal: bool = False
) -> Instruction:
    """A LOAD or STORE that stays inside (or, with `illegal`, does not), mostly small and at odd addresses."""
    while True:
        fields = transfer_fields(opcode)
        if opcode == Opcode.LOAD:
            fields["target"] = int(rng.choice([t for t in Target if t != Target.DEPTHWISE or config.depthwise_taps]))
        lanes, depth = depth_of(config, Instruction(opcode, fields))
        kind = rng.integers(6)
        size = int(rng.integers(1, 4 * lanes)) if kind < 4 else int(rng.integers(1, max(2, min(depth, 256) * lanes)))
        if kind == 3:
            size = lanes * int(rng.integers(1, 4))
        if kind == 5:
            size = min(size, 700)
        aligned = config.bus_bytes if rng.integers(3) == 0 else 1
        rows = -(-size // lanes)
        fields |= {
            "wait": int(rng.integers(16)), "signal": int(rng.integers(16)),
            "memory_address": int(rng.integers(0, memory_bytes)) // aligned * aligned,
            "row": int(rng.integers(0, depth)),
            "lines": int(rng.integers(1, 5)), "pixels": int(rng.integers(1, 7)),
            "line_stride": int(rng.integers(0, 2 * size + 100)) // aligned * aligned,
            "pixel_stride": size if rng.integers(2) else int(rng.integers(0, 2 * size + 40)) // aligned * aligned,
            "pixel_bytes": size, "pixel_rows": rows if rng.integers(2) else int(rng.integers(0, 2 * rows + 2)),
        }  # fmt: skip
        if illegal and rng.integers(3) == 0:
            name = str(
                rng.choice(["memory_address", "row", "line_stride", "pixel_stride", "pixel_bytes", "pixel_rows"])
            )
            bits = next(f.bits for f in FORMATS[opcode] if f.name == name)
            fields[name] = int(rng.integers(1 << (bits - 1), 1 << bits))
        made = Instruction(opcode, fields)
        if (legal(config, made, memory_bytes) < made["lines"] * made["pixels"]) == illegal:
            return made


def loaded(s: state.State, config: AcceleratorConfig, instruction: Instruction, memory: Any, count: int) -> None:
    """What a LOAD's first `count` pixels do to the scratchpads, by plain loops."""
    lanes, _ = depth_of(config, instruction)
    target = Target(instruction["target"])
    for _, (address, row) in zip(range(count), pixels(instruction), strict=False):
        for first in range(0, instruction["pixel_bytes"], lanes):
            size = min(lanes, instruction["pixel_bytes"] - first)
            line = np.zeros(lanes, np.uint8)
            line[:size] = memory[address + first : address + first + size]
            place = row + first // lanes
            if target == Target.PARAMETER:
                if place % 16 < 9:
                    s.parameters[place // 16, place % 16] = line
            elif target == Target.DEPTHWISE:
                word, tap = divmod(place, DEPTHWISE_PITCH[config.depthwise_taps])
                if tap < config.depthwise_taps:
                    s.depthwise_weights[word, tap] = line.astype(np.int8)
            else:
                getattr(s, target.name.lower())[place] = line.astype(np.int8)


def stored(memory: Any, config: AcceleratorConfig, instruction: Instruction, output: Any, count: int) -> None:
    """What a STORE's first `count` pixels do to the memory, by plain loops."""
    for _, (address, row) in zip(range(count), pixels(instruction), strict=False):
        for k in range(instruction["pixel_bytes"]):
            memory[address + k] = output[row + k // config.columns, k % config.columns].astype(np.uint8)
