"""Counting what differs."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from codesign.execution.comparison import counter_mismatches, memory_mismatches, mismatches


def test_every_code_counts_over_the_images_that_both_have() -> None:
    a = {"conv": np.zeros((3, 2, 2, 2), np.int8), "fc": np.zeros((3, 4), np.int8)}
    b = {name: codes[:2].copy() for name, codes in a.items()}
    b["conv"][1, 0, 1, 0] = 1
    b["fc"][0] = -1
    assert mismatches(a, b) == {"conv": 1, "fc": 4}
    a["conv"][2] = 7  # beyond what b ran
    assert mismatches(a, b) == mismatches(b, a) == {"conv": 1, "fc": 4}


def test_what_cannot_be_compared_is_an_error() -> None:
    a = {"conv": np.zeros((1, 4), np.int8)}
    with pytest.raises(ValueError, match="only one has 'fc'"):
        mismatches(a, a | {"fc": a["conv"]})
    with pytest.raises(ValueError, match="layer 'conv' must have one shape"):
        mismatches(a, {"conv": np.zeros((1, 2, 2), np.int8)})


def test_counters() -> None:
    counts = {"conv": np.array([1, 2, 3])}
    a = {"overflowed": counts, "clipped": counts}
    assert counter_mismatches(a, a) == 0
    assert counter_mismatches(a, {"overflowed": {"conv": np.array([1, 5, 6])}, "clipped": counts}) == 2
    assert counter_mismatches(a, {"overflowed": {}, "clipped": counts}) == 3


def test_memory() -> None:
    def run(memory: bytes) -> SimpleNamespace:
        return SimpleNamespace(memory=memory)

    assert memory_mismatches(run(b"abcd"), run(b"abcd")) == 0
    assert memory_mismatches(run(b"abcd"), run(b"aXcY")) == 2
    assert memory_mismatches(run(b"abcd"), run(b"ab")) == 2
