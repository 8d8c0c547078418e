"""Transfers: LOAD and STORE between external memory and the scratchpads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..instructions import Instruction, Target
from .state import State


@dataclass(frozen=True)
class Walk:
    """The scratchpad rows of a transfer that lie inside the memories, in order.

    address, size, row : of each scratchpad row, its first byte in memory, its bytes, its place
    words : memory words that the rows take together
    fault : whether a row outside follows
    """

    address: NDArray[np.int64]
    size: NDArray[np.int64]
    row: NDArray[np.int64]
    words: int
    fault: bool


def walk_transfer(instruction: Instruction, lanes: int, depth: int, memory_bytes: int, bus_bytes: int) -> Walk:
    """Line by line, pixel by pixel, `lanes` bytes a row."""
    pixel_bytes, pixels = instruction["pixel_bytes"], instruction["pixels"]
    chunks = -(-pixel_bytes // lanes)
    total = instruction["lines"] * pixels * chunks
    index = np.arange(min(total, max(depth - instruction["row"], 0) + 1), dtype=np.int64)
    pixel, chunk = np.divmod(index, chunks)
    line, pixel = np.divmod(pixel, pixels)
    offset = line * instruction["line_stride"] + pixel * instruction["pixel_stride"] + chunk * lanes
    address = (instruction["memory_address"] + offset) & 0xFFFFFFFF
    size = np.minimum(pixel_bytes - chunk * lanes, lanes)
    row = instruction["row"] + index
    outside = (address + size > memory_bytes) | (row >= depth)
    good = int(outside.argmax()) if outside.any() else len(index)
    address, size, row = address[:good], size[:good], row[:good]
    words = int((((address % bus_bytes) + size - 1) // bus_bytes + 1).sum())
    return Walk(address, size, row, words, bool(outside.any()))


def load(state: State, memory: NDArray[np.int8], instruction: Instruction, latency: int) -> tuple[int, bool]:
    """Execute a LOAD; returns its cycles and whether it stopped at an address outside a memory."""
    pad = {Target.ACTIVATION: state.activation, Target.WEIGHT: state.weight, Target.OUTPUT: state.output}[
        Target(instruction["target"])
    ]
    depth, lanes = pad.shape
    walk = walk_transfer(instruction, lanes, depth, len(memory), state.config.bus_bytes)
    inside = np.arange(lanes) < walk.size[:, None]
    where = np.where(inside, walk.address[:, None] + np.arange(lanes), 0)
    pad[walk.row] = np.where(inside, memory[where], 0)
    if walk.fault and not walk.words:
        return 2, True
    return walk.words + latency + 1, walk.fault


def store(state: State, memory: NDArray[np.int8], instruction: Instruction) -> tuple[int, bool]:
    """Execute a STORE; returns its cycles and whether it stopped at an address outside a memory."""
    depth, lanes = state.output.shape
    walk = walk_transfer(instruction, lanes, depth, len(memory), state.config.bus_bytes)
    inside = np.arange(lanes) < walk.size[:, None]
    # Where rows overlap in memory the later one wins: assignment follows the order of the indices.
    memory[(walk.address[:, None] + np.arange(lanes))[inside]] = state.output[walk.row][inside]
    return walk.words + 2, walk.fault
