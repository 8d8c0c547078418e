"""What the accelerator remembers between instructions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..config import AcceleratorConfig
from ..instructions import PARAMETER_ROWS


class State:
    """Scratchpads, accumulators, parameter registers and counters, all 0 at power-on.

    activation (depth, rows), weight (depth, columns), output (depth, columns) : int8
    sums (depth, columns) int64, overflowed (depth, columns) bool : the accumulator memory
    parameters (PARAMETER_ROWS, columns) : uint8, low byte of the bias first
    overflows, clips (columns,) : int64, counters of 32 bits
    """

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        self.activation = np.zeros((config.activation_depth, config.rows), np.int8)
        self.weight = np.zeros((config.weight_depth, config.columns), np.int8)
        self.output = np.zeros((config.output_depth, config.columns), np.int8)
        self.sums = np.zeros((config.accumulator_depth, config.columns), np.int64)
        self.overflowed = np.zeros((config.accumulator_depth, config.columns), np.bool_)
        self.parameters = np.zeros((PARAMETER_ROWS, config.columns), np.uint8)
        self.clear_counters()

    def clear_counters(self) -> None:
        """What the start of a run does."""
        self.overflows = np.zeros(self.config.columns, np.int64)
        self.clips = np.zeros(self.config.columns, np.int64)

    def _word(self, first: int, count: int) -> NDArray[np.int64]:
        weights = 1 << (8 * np.arange(count, dtype=np.int64))
        return np.asarray(weights @ self.parameters[first : first + count].astype(np.int64))

    @property
    def bias(self) -> NDArray[np.int64]:
        """Bias of each lane, its low min(P, 32) bits."""
        return sign_extend(self._word(0, 4), self.config.arithmetic.bias_bits)

    @property
    def multiplier(self) -> NDArray[np.int64]:
        """Multiplier of each lane."""
        return self._word(4, 4) & ((1 << self.config.arithmetic.multiplier_bits) - 1)

    @property
    def shift(self) -> NDArray[np.int64]:
        """Shift of each lane, 0–63."""
        return self._word(8, 1) & 63


def sign_extend(value: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    """The low `bits` bits as a signed number."""
    half = np.int64(1) << (bits - 1)
    return np.asarray(((value & ((half << 1) - 1)) ^ half) - half)
