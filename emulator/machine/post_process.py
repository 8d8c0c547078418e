"""Post-processing: REQUANTIZE, POOL, PARAMETERS and COUNTERS in the column lanes."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from ..instructions import COUNTER_ROWS, PARAMETER_ROWS, Instruction
from ..requantize import requantize_unchecked
from ..timing import PREPARE_CYCLES, RESULT_LATENCY, post_process_drain_cycles
from .state import State, sign_extend
from .window import Window

CHUNK = 1 << 22
"""Most window codes gathered at once."""


def _emit(state: State, instruction: Instruction, operand: NDArray[np.int64]) -> NDArray[np.int8]:
    """Requantize (results, columns) operands and count the clipped ones."""
    codes, clipped = requantize_unchecked(
        operand,
        state.multiplier,
        state.shift,
        np.int64(instruction["zero_point"]),
        np.int64(instruction["y_min"]),
        np.int64(instruction["y_max"]),
        state.config.arithmetic,
    )
    state.clips += clipped.sum(axis=0)
    return codes


def requantize(state: State, instruction: Instruction) -> tuple[int, bool]:
    """Execute a REQUANTIZE; returns (steps before the drain, fault)."""
    first, out = instruction["accumulator_row"], instruction["output_row"]
    room = min(len(state.sums) - first, len(state.output) - out)
    count = min(instruction["count"], max(room, 0))
    span = slice(first, first + count)
    state.output[out : out + count] = _emit(state, instruction, state.sums[span])
    state.overflows += state.overflowed[span].sum(axis=0)
    fault = count < instruction["count"]
    return count if fault else count - 1, fault


def parameters(state: State, instruction: Instruction) -> tuple[int, bool]:
    """Execute a PARAMETERS; returns (steps before the drain, fault)."""
    row = instruction["row"]
    count = min(PARAMETER_ROWS, max(len(state.output) - row, 0))
    shifted = np.concatenate([state.parameters, state.output[row : row + count].view(np.uint8)])
    state.parameters = shifted[count:]
    fault = count < PARAMETER_ROWS
    return count if fault else count - 1, fault


def counters(state: State, instruction: Instruction) -> tuple[int, bool]:
    """Execute a COUNTERS; returns (steps before the drain, fault)."""
    row = instruction["row"]
    count = min(COUNTER_ROWS, max(len(state.output) - row, 0))
    words = (state.overflows & 0xFFFFFFFF).astype(np.uint64) | (
        (state.clips & 0xFFFFFFFF).astype(np.uint64) << np.uint64(32)
    )
    for step in range(count):
        state.output[row + step] = (words & np.uint64(255)).astype(np.uint8).view(np.int8)
        words >>= np.uint64(8)
    state.overflows = (words & np.uint64(0xFFFFFFFF)).astype(np.int64)
    state.clips = (words >> np.uint64(32)).astype(np.int64)
    fault = count < COUNTER_ROWS
    return count if fault else count - 1, fault


class Pool:
    """One POOL: a window's codes, one per step, gathered in the operand register, then requantized."""

    def __init__(self, state: State, instruction: Instruction):
        self.state, self.instruction = state, instruction
        self.window = Window(instruction, 1)
        room = max(len(state.output) - instruction["output_row"], 0) + 1
        self.positions = min(self.window.positions, room)
        # Results in the pipeline: the step from which on they can be read, their row, their codes.
        self.pending = deque[tuple[int, int, NDArray[np.int8]]]()

    def run(self) -> tuple[int, bool]:
        """Execute; returns (steps before the drain, fault)."""
        steps, fault = self.steps()
        self.write()
        return steps, fault

    def steps(self) -> tuple[int, bool]:
        """All windows up to a fault; the last results may still be pending."""
        step = max(1, CHUNK // self.window.kernel)
        for first in range(0, self.positions, step):
            position = np.arange(first, min(first + step, self.positions), dtype=np.int64)
            row, inside = self.window.rows(position[:, None], np.arange(self.window.kernel, dtype=np.int64)[None, :])
            depth = len(self.state.output)
            outside = inside & (row >= depth)
            outside[:, 0] |= self.instruction["output_row"] + position >= depth
            flat = outside.reshape(-1)
            steps = int(flat.argmax()) if flat.any() else len(flat)
            self.gather(first, row, inside, steps // self.window.kernel)
            if steps < len(flat):
                return first * self.window.kernel + steps, True
        return self.positions * self.window.kernel - 1, False

    def gather(self, first: int, row: NDArray[np.int64], inside: NDArray[np.bool_], count: int) -> None:
        """Pool the first `count` windows of (positions, kernel) rows; their results go to rows from `first` on."""
        begin = self.instruction["output_row"]
        out = begin + first
        row, inside = row[:count], inside[:count]
        if not ((row >= begin) & (row < out + count) & inside).any():
            self.write()
            self.state.output[out : out + count] = self.pool(self.state.output[np.where(inside, row, 0)], inside)
            return
        # A window that reads what this instruction writes sees only results that have left the pipeline.
        kernel = self.window.kernel
        for index in range(count):
            codes = np.empty((1, kernel, self.state.config.columns), np.int8)
            for k in range(kernel):
                self.write((first + index) * kernel + k)
                codes[0, k] = self.state.output[row[index, k] if inside[index, k] else 0]
            result = self.pool(codes, inside[index : index + 1])[0]
            self.pending.append(((first + index + 1) * kernel + RESULT_LATENCY, out + index, result))

    def write(self, step: int | None = None) -> None:
        """Write the results that can be read from `step` on, or all."""
        while self.pending and (step is None or self.pending[0][0] <= step):
            _, target, result = self.pending.popleft()
            self.state.output[target] = result

    def pool(self, codes: NDArray[np.int8], inside: NDArray[np.bool_]) -> NDArray[np.int8]:
        """(windows, kernel, columns) codes → (windows, columns) results."""
        arithmetic, instruction = self.state.config.arithmetic, self.instruction
        values = sign_extend(codes.astype(np.int64), arithmetic.activation_bits)
        zero = sign_extend(np.asarray(instruction["input_zero_point"], np.int64), arithmetic.activation_bits)
        mask = inside[:, :, None]
        if instruction["average"]:
            operand = sign_extend(np.where(mask, values - zero, 0).sum(axis=1), arithmetic.operand_bits)
        else:
            operand = np.where(mask, values, arithmetic.activation_range[0]).max(axis=1)
        return _emit(self.state, instruction, operand)


def cycles(state: State, steps: int) -> int:
    """Cycles of an instruction whose last (or faulty) step is number `steps`."""
    return PREPARE_CYCLES + steps + post_process_drain_cycles(state.config)
