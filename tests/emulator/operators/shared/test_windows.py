"""Sliding windows and their blocks."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from emulator.operators.shared.windows import Windows
from tests import oracle


def test_valid_counts() -> None:
    size, kernel, strides, padding, dilations = (5, 4), (3, 2), (2, 1), (1, 0, 2, 1), (1, 2)
    windows = Windows(size, kernel, strides, padding, dilations)
    expected = [
        [sum(tap is not None for tap in oracle.window(size, corner, kernel, dilations)) for corner in line]
        for line in oracle.corners(size, kernel, strides, padding, dilations)
    ]
    assert windows.output == (len(expected), len(expected[0]))
    assert_array_equal(windows.valid_counts(), expected)


@pytest.mark.parametrize("limit", [1, 100, 400, 10**6])
def test_blocks_cover_every_position_once_and_in_order(limit: int) -> None:
    windows = Windows((6, 5), (2, 2))
    numbers = np.arange(3 * windows.count).reshape(3, *windows.output)
    seen = []
    for rows, positions in windows.blocks(3, 7, limit):
        block = numbers[positions].ravel()
        assert_array_equal(block, np.arange(3 * windows.count)[rows])
        assert block.size * 7 <= max(limit, windows.output[1] * 7)
        seen.append(block)
    assert_array_equal(np.concatenate(seen), numbers.ravel())
