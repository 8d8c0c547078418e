"""What the benchmarks share: a row of the table, and times of calls that are taken in turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def row(
    name: str, value: float | str, unit: str, target: str | None = None, holds: bool | None = None
) -> dict[str, Any]:
    """A row of a benchmark's table.

    value : a number, or why there is none; then the target is neither held nor missed
    holds : whether the target is reached; None where there is no target, or no number
    """
    return {
        "name": name,
        "value": value if isinstance(value, str) else round(value, 3),
        "unit": unit,
        "target": target,
        "holds": None if holds is None else bool(holds),
    }


def interleaved(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """{name: seconds of each round}, after one call of each that does not count.

    The calls of a round come one after the other: a machine that slows down for a while slows both sides of a ratio.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
    return times


def median_ratio(numerator: Sequence[float], denominator: Sequence[float]) -> float:
    """The median of the rounds' ratios."""
    return statistics.median(a / b for a, b in zip(numerator, denominator, strict=True))
