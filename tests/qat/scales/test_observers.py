"""Observers against plain recomputations from all values at once, and their independence of batches."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from qat.scales.grid import Grid, power_of_two_above
from qat.scales.histogram import Histogram
from qat.scales.observers import FRACTIONS, MOMENTUM, OBSERVERS, Entropy, MeanSquare, Observer, Percentile

GRIDS = [
    Grid(bits=b, symmetric=s, power_of_two=p) for b, s, p in itertools.product((2, 4, 8), (False, True), (False, True))
]


def values(kind: str, count: int = 20_000, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    normal = torch.randn(count, generator=generator)
    return {
        "normal": normal,
        "relu": normal.relu(),
        "negative": -normal.relu() * 0.01,
        "heavy": normal / (torch.rand(count, generator=generator) + 0.01),
        "skewed": torch.exp(normal) - 0.3,
    }[kind]


KINDS = ["normal", "relu", "negative", "heavy", "skewed"]


def observed(observer: Observer, batches: list[torch.Tensor]) -> tuple[float, float]:
    for batch in batches:
        observer.observe(batch)
    return observer.range()


def bins(x: torch.Tensor) -> tuple[NDArray[np.float64], NDArray[np.int64], float]:
    """(centres, counts, width) of 4096 bins on either side of 0 up to the next power of two, by exact arithmetic."""
    width = 2.0 ** (math.frexp(float(x.abs().max()))[1] - 12)
    numbers = [math.floor(v / width) for v in x.double().tolist() if v != 0]
    index, counts = np.unique(numbers, return_counts=True)
    return (index + 0.5) * width, counts, width


def quantized(
    v: NDArray[np.float64], low: float, high: float, grid: Grid
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The codes' real values by the contract's formulas, and whether the clamp changed nothing."""
    least, most = -(2 ** (grid.bits - 1)), 2 ** (grid.bits - 1) - 1
    scale = float(np.float32(max(-low, high) / most if grid.symmetric else (high - low) / (most - least)))
    if grid.power_of_two:
        scale = 2.0 ** math.ceil(math.log2(scale))
    zero = 0 if grid.symmetric else min(max(least + round(-low / scale), least), most)
    code = np.rint(v / scale) + zero
    return (np.clip(code, least, most) - zero) * scale, (code >= least) & (code <= most)


def candidates(low: float, high: float, grid: Grid) -> list[tuple[float, float]]:
    steps = [(FRACTIONS - i) / FRACTIONS for i in range(FRACTIONS)]
    if grid.symmetric:
        return [(max(low, -max(-low, high) * f), min(high, max(-low, high) * f)) for f in steps]
    return [(low * b, high * a) for a in (steps if high else [1]) for b in (steps if low else [1])]


@pytest.mark.parametrize("kind", KINDS)
def test_the_histogram_counts_exactly(kind: str) -> None:
    x = values(kind)
    x[100:110] = 0
    histogram = Histogram()
    histogram.add(x)
    centers, counts = histogram.occupied()
    expected = bins(x)
    np.testing.assert_array_equal(centers, expected[0])
    np.testing.assert_array_equal(counts, expected[1])
    assert histogram.width == expected[2]
    assert histogram.zeros == int((x == 0).sum()) and counts.sum() + histogram.zeros == x.numel()
    assert (histogram.low, histogram.high) == (min(float(x.min()), 0), max(float(x.max()), 0))


@pytest.mark.parametrize("name", [name for name in OBSERVERS if name != "moving_average"])
@pytest.mark.parametrize("kind", KINDS)
def test_neither_order_nor_batches_matter(name: str, kind: str) -> None:
    x = values(kind)
    results = set()
    for batches in ([x], list(x.flip(0).split(777)), [x.sort().values[:10], x.sort().values[10:], x[:0]]):
        results.add(observed(OBSERVERS[name](Grid(bits=4), 99.9), batches))
    assert len(results) == 1
    (low, high) = results.pop()
    assert min(float(x.min()), 0.0) <= low <= 0 <= high <= max(float(x.max()), 0.0) and low < high


def test_memory_does_not_grow() -> None:
    histogram = Histogram()
    for exponent in range(-60, 60):
        histogram.add(torch.tensor([2.0**exponent, -(2.0 ** (-exponent))]))
        assert histogram.bins.numel() == 8192
    assert int(histogram.bins.sum()) == 240


def test_minimum_and_maximum() -> None:
    batches = list(values("skewed").split(3000))
    assert observed(OBSERVERS["min_max"](GRIDS[0], 0), batches) == (
        min(float(b.min()) for b in batches),
        max(float(b.max()) for b in batches),
    )
    assert observed(OBSERVERS["min_max"](GRIDS[0], 0), [torch.tensor([2.0, 3.0])]) == (0, 3)


def test_moving_average() -> None:
    batches = list(values("skewed").split(3000))
    low, high = float(batches[0].min()), float(batches[0].max())
    for batch in batches[1:]:
        low, high = 0.9 * low + 0.1 * float(batch.min()), 0.9 * high + 0.1 * float(batch.max())
    assert MOMENTUM == 0.1
    assert observed(OBSERVERS["moving_average"](GRIDS[0], 0), batches) == pytest.approx((low, high), rel=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("percentile", [50, 90, 99, 99.9, 100])
def test_percentiles(kind: str, percentile: float) -> None:
    x = values(kind)
    low, high = observed(Percentile(percentile), list(x.split(999)))
    ordered, width = x.double().sort().values, bins(x)[2]
    allowed = (1 - percentile / 100) * len(x)
    assert int((ordered > high).sum()) <= allowed and int((ordered < low).sum()) <= allowed
    # One bin less would leave out too many.
    if high > 0:
        assert int((ordered >= high - width).sum()) > allowed
    if low < 0:
        assert int((ordered < low + width).sum()) > allowed
    if percentile == 100:
        assert (low, high) == (min(float(x.min()), 0), max(float(x.max()), 0))


@pytest.mark.parametrize("grid", GRIDS, ids=str)
@pytest.mark.parametrize("kind", ["normal", "relu", "heavy"])
def test_the_least_squared_error_by_brute_force(kind: str, grid: Grid) -> None:
    x = values(kind, 3000)
    centers, counts, width = bins(x)
    low, high = min(float(x.min()), 0.0), max(float(x.max()), 0.0)
    errors = {}
    for ends in candidates(low, high, grid):
        reached, _ = quantized(centers, *ends, grid)
        errors.setdefault(ends, float(((reached - centers) ** 2 * counts).sum()))
    found = observed(MeanSquare(grid), list(x.split(500)))
    assert found in errors
    assert errors[found] <= min(errors.values()) * (1 + 1e-12)
    # On the values themselves it is as good as the best candidate, but for the width of a bin.
    exact = [
        float(((quantized(x.double().numpy(), *ends, grid)[0] - x.double().numpy()) ** 2).mean())
        for ends in (found, (low, high))
    ]
    assert math.sqrt(exact[0]) <= math.sqrt(exact[1]) + width


def divergence(x_centers: NDArray[np.float64], counts: NDArray[np.int64], low: float, high: float, grid: Grid) -> float:
    """The Kullback–Leibler divergence in plain Python."""
    reached, inside = quantized(x_centers, low, high, grid)
    if not inside.any():
        return math.inf
    rows = [(c, int(n), r) for c, n, r, ok in zip(x_centers, counts, reached, inside, strict=True) if ok]
    reference = [float(n) for _, n, _ in rows]
    reference[0] += float(sum(int(n) for c, n in zip(x_centers, counts, strict=True) if c < rows[0][0]))
    reference[-1] += float(sum(int(n) for c, n in zip(x_centers, counts, strict=True) if c > rows[-1][0]))
    mass: dict[float, list[int]] = {}
    for _, n, r in rows:
        mass.setdefault(r, []).append(n)
    even = [sum(mass[r]) / len(mass[r]) for _, _, r in rows]
    return sum(
        p / sum(reference) * math.log(p / sum(reference) / (q / sum(even)))
        for p, q in zip(reference, even, strict=True)
    )


@pytest.mark.parametrize("grid", [GRIDS[4], GRIDS[6], GRIDS[8], GRIDS[10]], ids=str)
@pytest.mark.parametrize("kind", ["relu", "heavy"])
def test_entropy_by_brute_force(kind: str, grid: Grid) -> None:
    x = values(kind, 400)
    centers, counts, _ = bins(x)
    observer = Entropy(grid)
    found = observed(observer, list(x.split(100)))
    tried = candidates(min(float(x.min()), 0.0), max(float(x.max()), 0.0), grid)
    some = [tried[i] for i in np.random.default_rng(0).choice(len(tried), 60)]
    found_divergence = divergence(centers, counts, *found, grid)
    assert found in tried and found_divergence >= -1e-12
    for ends in some:
        expected = divergence(centers, counts, *ends, grid)
        assert observer.loss(*ends, centers, counts) == pytest.approx(expected, rel=1e-9, abs=1e-12)
        assert found_divergence <= expected + 1e-12


def test_what_each_observer_is_for() -> None:
    x = torch.cat([values("normal"), torch.tensor([60.0])])
    ranges = {name: observed(make(Grid(bits=4), 99.9), [x]) for name, make in OBSERVERS.items()}
    assert ranges["min_max"][1] == 60
    assert ranges["percentile"][1] < 4 and ranges["mse"][1] < 10 and ranges["entropy"][1] < 20


@pytest.mark.parametrize("name", OBSERVERS)
def test_values_that_are_not_finite(name: str) -> None:
    for bad in (math.nan, math.inf):
        with pytest.raises(ValueError, match=f"values to calibrate with must be finite, not from .* to {bad}"):
            OBSERVERS[name](Grid(bits=8), 99).observe(torch.tensor([1.0, bad]))


@pytest.mark.parametrize("name", OBSERVERS)
def test_nothing_but_zeros(name: str) -> None:
    assert OBSERVERS[name](Grid(bits=8), 99).range() == (0, 0)
    assert observed(OBSERVERS[name](Grid(bits=8), 99), [torch.zeros(4), torch.zeros(0)]) == (0, 0)
    assert Grid(bits=8).parameters(0, 0) == (1, -128)


def test_grids() -> None:
    assert Grid(bits=4).parameters(-1.0, 6.5) == (0.5, -6)
    assert Grid(bits=4, symmetric=True).parameters(-1.0, 7.0) == (1.0, 0)
    assert Grid(bits=4, symmetric=True).parameters(-14.0, 7.0) == (2.0, 0)
    assert Grid(bits=4, power_of_two=True).parameters(-1.0, 6.5) == (0.5, -6)
    assert Grid(bits=4, power_of_two=True).parameters(-1.0, 6.6) == (1.0, -7)
    assert Grid(bits=2, symmetric=True, power_of_two=True).parameters(0.0, 3.0) == (4.0, 0)
    assert power_of_two_above(np.array([1.0, 1.5, 0.25, 0.26])).tolist() == [1, 2, 0.25, 0.5]
