"""Segments of a kernel: the contract's order, a word each, and places as the instruction set states them."""

from __future__ import annotations

import itertools

import pytest

from emulator.depthwise_segments import depthwise_segments, strips
from tests import oracle


@pytest.mark.parametrize("taps", [1, 3, 9])
def test_taps_are_those_of_the_kernel_in_order(taps: int) -> None:
    for height, width, dilation in itertools.product((1, 2, 3, 4, 7), (1, 2, 3, 4, 5, 9, 10, 11), (1, 2)):
        segments = depthwise_segments(height, width, dilation, taps)
        places = [(word, place, tap) for word, one in enumerate(segments) for place, tap in one.taps().items()]
        assert [tap for _, _, tap in places] == list(itertools.product(range(height), range(width)))
        for word, place, tap in places:
            assert (word, place) == oracle.depthwise_place(tap, width, dilation, taps) and place < taps


def test_number_of_segments() -> None:
    counts = [len(depthwise_segments(*kernel)) for kernel in ((3, 3, 1, 1), (3, 3, 1, 3), (3, 3, 1, 9), (5, 5, 1, 9),
              (3, 3, 2, 9), (7, 1, 4, 9), (1, 20, 1, 9), (1, 20, 1, 3))]  # fmt: skip
    assert counts == [9, 3, 1, 5, 9, 3, 3, 7]


def test_strips() -> None:
    assert [strips(width, 2) for width in (1, 64, 65, 200)] == [{1: 1}, {64: 1}, {64: 1, 1: 1}, {64: 3, 8: 1}]
    assert strips(200, 1) == {200: 1}


def test_errors() -> None:
    with pytest.raises(ValueError, match="taps must be 1, 3, 9, not 0"):
        depthwise_segments(3, 3, 1, 0)
    with pytest.raises(ValueError, match="kernel_width must be an integer from 1 to 255, not 0"):
        depthwise_segments(3, 0, 1, 3)
