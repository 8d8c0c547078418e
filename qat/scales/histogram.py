"""`Histogram`: counts of all values seen, in fixed memory, whatever their order and their batches."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..distributed import gathered

HALF_BITS = 12
HALF = 1 << HALF_BITS  # bins on either side of 0: 8 to 16 for each of 256 codes on a one-sided range
LEAST_EXPONENT = -100  # keeps the width of a bin a normal float32


class Histogram:
    """Counts in bins ``[i·width, (i + 1)·width)`` for i = −4096 … 4095; the width is a power of two.

    A value outside makes neighbours merge and the width double. So the counts are a function of the values alone: not
    of the order in which they came, nor of how batches split them. Values of 0 are counted apart, as every quantizer
    has an exact code for them.

    low, high : smallest and largest value seen, and 0; zeros : number of values that are 0
    """

    def __init__(self) -> None:
        self.low, self.high, self.zeros = 0.0, 0.0, 0
        self.exponent = LEAST_EXPONENT  # the bins cover −2^exponent … 2^exponent
        self.bins = torch.zeros(2 * HALF, dtype=torch.int64)

    @property
    def width(self) -> float:
        """Of one bin."""
        return math.ldexp(1.0, self.exponent - HALF_BITS)

    def add(self, x: Tensor) -> None:
        """Count the values of `x`, float32 and finite, of any shape."""
        values = x[x != 0]
        self.zeros += x.numel() - values.numel()
        if not values.numel():
            return
        self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))
        self.widen(max(self.exponent, math.frexp(max(-self.low, self.high))[1]))
        # Exact: the divisor is a power of two.
        index = torch.floor(values / self.width).long() + HALF
        self.bins += torch.bincount(index, minlength=2 * HALF).to(self.bins.device)

    def widen(self, exponent: int) -> None:
        """Merge neighbours until the bins cover −2^exponent … 2^exponent."""
        for _ in range(exponent - self.exponent):
            merged = self.bins.view(-1, 2).sum(1)
            self.bins = torch.zeros_like(self.bins)
            self.bins[HALF // 2 : HALF // 2 + HALF] = merged
        self.exponent = exponent

    def synchronize(self) -> None:
        """Add the counts of all processes."""
        ends = gathered(torch.tensor([self.low, self.high], dtype=torch.float64))
        self.low, self.high = float(ends[:, 0].min()), float(ends[:, 1].max())
        self.zeros, own = int(gathered(torch.tensor(self.zeros)).sum()), torch.tensor(self.exponent)
        self.widen(int(gathered(own).max()))
        self.bins = gathered(self.bins).sum(0)

    def occupied(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """(centre, count) of all bins that hold a value, ascending."""
        counts: NDArray[np.int64] = self.bins.numpy()
        index = np.flatnonzero(counts)
        centers: NDArray[np.float64] = (index - (HALF - 0.5)).astype(np.float64) * self.width
        return centers, counts[index]
