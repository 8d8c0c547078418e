"""Observers: from the values of a tensor, batch by batch, to the range that its codes should span.

All are deterministic and of fixed memory.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..distributed import gathered
from .grid import Grid
from .histogram import Histogram

MOMENTUM = 0.1  # of moving averages: the weight of the newest batch
FRACTIONS = 40  # of the observed range, on either side of 0, that a search tries as the end of the codes


class Observer(ABC):
    """Takes the values of one tensor and gives ``low ≤ 0 ≤ high``."""

    def observe(self, x: Tensor) -> None:
        """Take a batch: float32 of any shape; raises ``ValueError`` unless all is finite."""
        if x.numel():
            low, high = (float(end) for end in torch.aminmax(x))
            if not np.isfinite([low, high]).all():
                raise ValueError(f"values to calibrate with must be finite, not from {low} to {high}")
            self.take(x, min(low, 0.0), max(high, 0.0))

    @abstractmethod
    def take(self, x: Tensor, low: float, high: float) -> None:
        """A batch whose values, and 0, go from `low` to `high`."""

    @abstractmethod
    def synchronize(self) -> None:
        """Take what the observers of all processes saw."""

    @abstractmethod
    def range(self) -> tuple[float, float]:
        """(low, high); (0, 0) if nothing was observed."""


class MinMax(Observer):
    """The smallest and the largest value."""

    def __init__(self) -> None:
        self.low, self.high = 0.0, 0.0

    def take(self, x: Tensor, low: float, high: float) -> None:
        self.low, self.high = min(self.low, low), max(self.high, high)

    def synchronize(self) -> None:
        ends = gathered(torch.tensor([self.low, self.high], dtype=torch.float64))
        self.low, self.high = float(ends[:, 0].min()), float(ends[:, 1].max())

    def range(self) -> tuple[float, float]:
        return self.low, self.high


class MovingAverage(Observer):
    """Moving averages of the batches' smallest and largest values, starting at the first batch's.

    Those of several processes are averaged.
    """

    def __init__(self) -> None:
        self.ends: tuple[float, float] | None = None

    def take(self, x: Tensor, low: float, high: float) -> None:
        old = (low, high) if self.ends is None else self.ends
        self.ends = old[0] + MOMENTUM * (low - old[0]), old[1] + MOMENTUM * (high - old[1])

    def synchronize(self) -> None:
        ends = gathered(torch.tensor(self.ends or (math.nan, math.nan), dtype=torch.float64))
        seen = ends[~ends[:, 0].isnan()]
        if len(seen):
            low, high = seen.mean(0).tolist()
            self.ends = low, high

    def range(self) -> tuple[float, float]:
        return self.ends or (0.0, 0.0)


class _Counting(Observer):
    """An observer whose range comes from a histogram."""

    def __init__(self) -> None:
        self.histogram = Histogram()

    def take(self, x: Tensor, low: float, high: float) -> None:
        self.histogram.add(x)

    def synchronize(self) -> None:
        self.histogram.synchronize()


class Percentile(_Counting):
    """The narrowest range with at most 100 − `percentile` percent of the values above it, and as many below.

    Its ends are edges of the histogram's bins, or the smallest and the largest value.
    """

    def __init__(self, percentile: float) -> None:
        super().__init__()
        self.outside = 1 - percentile / 100

    def range(self) -> tuple[float, float]:
        histogram = self.histogram
        centers, counts = histogram.occupied()
        allowed = self.outside * (counts.sum() + histogram.zeros)
        half = histogram.width / 2
        above, below = np.cumsum(counts[::-1])[::-1], np.cumsum(counts)
        high = max((centers[above > allowed] + half).max(initial=0), 0.0)
        low = min((centers[below > allowed] - half).min(initial=0), 0.0)
        return max(float(low), histogram.low), min(float(high), histogram.high)


class _Searching(_Counting):
    """An observer that takes, of the ranges that end at fractions of the observed one, that of the least loss.

    Among equal ones the widest is taken, the upper end first.
    """

    def __init__(self, grid: Grid) -> None:
        super().__init__()
        self.grid = grid

    @abstractmethod
    def loss(self, low: float, high: float, centers: NDArray[np.float64], counts: NDArray[np.int64]) -> float:
        """Of quantizing the values `centers`, each of them `counts` times, with codes that span low … high."""

    def range(self) -> tuple[float, float]:
        centers, counts = self.histogram.occupied()
        if not counts.size:
            return 0.0, 0.0
        return min(self.candidates(), key=lambda ends: self.loss(ends[0], ends[1], centers, counts))

    def candidates(self) -> Iterator[tuple[float, float]]:
        """The ranges to try, from wide to narrow."""
        low, high = self.histogram.low, self.histogram.high
        fractions = [i / FRACTIONS for i in range(FRACTIONS, 0, -1)]
        if self.grid.symmetric:
            widest = max(-low, high)
            yield from ((max(low, -widest * f), min(high, widest * f)) for f in fractions)
            return
        for upper in fractions if high > 0 else [1.0]:
            yield from ((low * lower, high * upper) for lower in (fractions if low < 0 else [1.0]))


class MeanSquare(_Searching):
    """The range with the least mean squared error between the values and their codes' values."""

    def loss(self, low: float, high: float, centers: NDArray[np.float64], counts: NDArray[np.int64]) -> float:
        scale, zero_point = self.grid.parameters(low, high)
        error = self.grid.steps(centers, scale, zero_point) * np.float64(scale) - centers
        return float(np.dot(counts, error * error))


class Entropy(_Searching):
    """The range with the least Kullback–Leibler divergence of the values' distribution from that of the codes.

    As in TensorRT's calibration (Migacz, "8-bit inference with TensorRT", 2017): what is clipped counts as the last
    bin of the reference; the codes' distribution is that of the values inside the range, even over the occupied bins of
    each code. Values of 0 are left out.
    """

    def loss(self, low: float, high: float, centers: NDArray[np.float64], counts: NDArray[np.int64]) -> float:
        scale, zero_point = self.grid.parameters(low, high)
        steps = self.grid.steps(centers, scale, zero_point)
        inside = np.flatnonzero(steps == np.rint(centers / np.float64(scale)))
        if not inside.size:
            return np.inf
        first, last = inside[0], inside[-1] + 1
        mass = counts[first:last].astype(np.float64)
        reference = mass.copy()
        reference[0] += counts[:first].sum()
        reference[-1] += counts[last:].sum()
        _, code = np.unique(steps[first:last], return_inverse=True)
        even = (np.bincount(code, mass) / np.bincount(code))[code]
        reference /= reference.sum()
        return float(np.dot(reference, np.log(reference / (even / even.sum()))))


# {name: observer of a tensor with these codes}; the number is `Percentile`'s.
OBSERVERS: dict[str, Callable[[Grid, float], Observer]] = {
    "min_max": lambda grid, percentile: MinMax(),
    "moving_average": lambda grid, percentile: MovingAverage(),
    "percentile": lambda grid, percentile: Percentile(percentile),
    "mse": lambda grid, percentile: MeanSquare(grid),
    "entropy": lambda grid, percentile: Entropy(grid),
}
