"""CONVOLVE: weight tiles through the array, partial sums through the accumulator memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..instructions import ADDRESS_BITS, Instruction
from ..timing import PREPARE_CYCLES, convolve_drain_cycles, sum_round_trip
from ..walk import walk
from .state import State, sign_extend
from .window import Window

CHUNK = 1 << 22
"""Most operand codes gathered at once."""


class Convolve:
    """One CONVOLVE: J weight tiles of rows × columns, M output positions each."""

    def __init__(self, state: State, instruction: Instruction):
        self.state, self.instruction = state, instruction
        self.window = Window(instruction, instruction["pixel_rows"])
        self.tiles = self.window.kernel * instruction["channel_rows"]
        self.first_row = instruction["accumulator_row"]
        # A position beyond the accumulator memory ends the instruction: no later one is reached.
        room = max(state.config.accumulator_depth - self.first_row, 0) + 1
        self.position = np.arange(min(self.window.positions, room), dtype=np.int64)

    def operand_rows(self, first: int, last: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """(scratchpad row, inside the input), each (positions, tiles), of tiles first … last − 1."""
        kernel, channel = np.divmod(np.arange(first, last, dtype=np.int64), self.instruction["channel_rows"])
        row, inside = self.window.rows(self.position[:, None], kernel[None, :])
        return (row + channel) & ((1 << ADDRESS_BITS) - 1), inside

    def bad_position(self, tile: int) -> int | None:
        """First position of a tile whose operand or sum lies outside a memory."""
        config = self.state.config
        row, inside = self.operand_rows(tile, tile + 1)
        outside = (inside & (row >= config.activation_depth))[:, 0]
        outside |= self.first_row + self.position >= config.accumulator_depth
        return int(outside.argmax()) if outside.any() else None

    def bad_weight(self, tile: int) -> bool:
        """Whether a row of this weight tile lies outside the weight scratchpad; there may be no such tile."""
        config = self.state.config
        return tile < self.tiles and self.instruction["weight_row"] + (tile + 1) * config.rows > config.weight_depth

    def accumulate(self, first: int, last: int, positions: int) -> None:
        """Carry the sums of the first `positions` positions through tiles first … last − 1."""
        state, instruction, arithmetic = self.state, self.instruction, self.state.config.arithmetic
        rows = state.config.rows
        where, inside = self.operand_rows(first, last)
        where, inside = where[:positions], inside[:positions]
        codes = sign_extend(state.activation[np.where(inside, where, 0)].astype(np.int64), arithmetic.activation_bits)
        zero = sign_extend(np.asarray(instruction["zero_point"], np.int64), arithmetic.activation_bits)
        left = np.where(inside[:, :, None], codes - zero, 0).astype(np.int16).reshape(positions, -1)
        start = instruction["weight_row"] + first * rows
        weight = state.weight[start : start + (last - first) * rows]
        right = sign_extend(weight.astype(np.int64), arithmetic.weight_bits).astype(np.int8)
        span = slice(self.first_row, self.first_row + positions)
        if first == 0 and not instruction["carry"]:
            sums = np.broadcast_to(state.bias, (positions, state.config.columns)).copy()
            overflowed = np.zeros(sums.shape, np.bool_)
        else:
            sums, overflowed = state.sums[span], state.overflowed[span]
        state.sums[span], state.overflowed[span] = walk(left, right, sums, overflowed, arithmetic)

    def run(self) -> tuple[int, bool]:
        """Execute; returns the cycles and whether it stopped at an address outside a memory."""
        config, positions = self.state.config, self.window.positions
        drain = convolve_drain_cycles(config)
        if self.is_legal():
            step = max(1, CHUNK // (positions * config.rows))
            for first in range(0, self.tiles, step):
                self.accumulate(first, min(first + step, self.tiles), positions)
            return PREPARE_CYCLES + (self.tiles - 1) * self.tile_step() + positions + drain, False
        return PREPARE_CYCLES + self.run_to_fault() + drain, True

    def is_legal(self) -> bool:
        """Whether no access lies outside a memory."""
        config = self.state.config
        if self.first_row + self.window.positions > config.accumulator_depth:
            return False
        if self.instruction["weight_row"] + self.tiles * config.rows > config.weight_depth:
            return False
        step = max(1, CHUNK // len(self.position))
        for first in range(0, self.tiles, step):
            row, inside = self.operand_rows(first, min(first + step, self.tiles))
            if (inside & (row >= config.activation_depth)).any():
                return False
        return True

    def tile_step(self) -> int:
        """Steps from a tile's first position to the next tile's.

        All positions are issued, and the first one's sum has to be back (the interlock). By then the next weights are
        in the shadow: they begin to load with the tile before, one row per step.
        """
        return max(self.window.positions, sum_round_trip(self.state.config))

    def run_to_fault(self) -> int:
        """Execute up to the first access outside a memory; returns its step.

        A weight tile is checked as a whole when its loading begins, so every position issued has all its weights.
        """
        load, start, tile = 0, 1, 0
        if self.bad_weight(tile):
            return load
        while True:
            load = max(start, load + self.state.config.rows)
            position = self.bad_position(tile)
            faults = [] if position is None else [start + position]
            if self.bad_weight(tile + 1):
                faults.append(load)
            issued = min(min(faults) - start, len(self.position)) if faults else len(self.position)
            if issued:
                self.accumulate(tile, tile + 1, issued)
            if faults:
                return min(faults)
            start, tile = start + self.tile_step(), tile + 1
