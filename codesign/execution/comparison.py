"""Counting what differs between two executions of one network: codes, counters, memory bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.graph.run import LayerCounts
from emulator.machine.result import Result

Layers = Mapping[str, NDArray[np.int8]]
Counters = Mapping[str, Mapping[str, NDArray[np.int64]]]


def mismatches(a: Layers, b: Layers) -> dict[str, int]:
    """{layer: number of codes that differ}, over the images that both have (the first ones).

    a, b : {layer name: int8 codes, batch axis first}

    Raises ``ValueError`` where a layer or its shape is not the same in both.
    """
    if set(a) != set(b):
        only = sorted(set(a) ^ set(b))
        raise ValueError(f"both executions must have the same layers; only one has {', '.join(map(repr, only))}")
    counts = {}
    for name in a:
        images = min(len(a[name]), len(b[name]))
        left, right = a[name][:images], b[name][:images]
        if left.shape != right.shape:
            raise ValueError(f"layer {name!r} must have one shape, not {left.shape[1:]} and {right.shape[1:]}")
        counts[name] = int(np.count_nonzero(left != right))
    return counts


def output_mismatches(a: Mapping[str, NDArray[Any]], b: Mapping[str, NDArray[Any]]) -> int:
    """Number of the model's output values that differ, over the images that both have; NaN is equal to NaN."""
    total = 0
    for name in a:
        images = min(len(a[name]), len(b[name]))
        left, right = a[name][:images], b[name][:images]
        if left.shape != right.shape:
            raise ValueError(f"output {name!r} must have one shape, not {left.shape[1:]} and {right.shape[1:]}")
        total += int(np.count_nonzero((left != right) & ~((left != left) & (right != right))))
    return total


def counter_mismatches(a: Counters, b: Counters) -> int:
    """Number of counters that differ; a layer that only one of them counts differs in all its channels."""
    nothing = np.zeros(0, np.int64)
    total = 0
    for kind in ("overflowed", "clipped"):
        for name in set(a[kind]) | set(b[kind]):
            left, right = a[kind].get(name, nothing), b[kind].get(name, nothing)
            total += int((left != right).sum()) if left.shape == right.shape else max(len(left), len(right))
    return total


def emulator_counters(counts: Mapping[str, LayerCounts], counted: Sequence[str]) -> Counters:
    """The emulator's counts of the layers that the accelerator counts, as a `Result` has them."""
    return {
        "overflowed": {name: counts[name].overflows for name in counted},
        "clipped": {name: counts[name].clips for name in counted},
    }


def memory_mismatches(a: Result, b: Result) -> int:
    """Number of bytes of external memory that differ after the last image."""
    left, right = np.frombuffer(a.memory, np.uint8), np.frombuffer(b.memory, np.uint8)
    common = min(len(left), len(right))
    return int(np.count_nonzero(left[:common] != right[:common])) + abs(len(left) - len(right))
