"""Sums carried from one K-tile to the next."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from emulator import Arithmetic, accumulate
from emulator.operators.products.walk import walk
from tests.emulator.strategies import arithmetics, codes, edge_integers, few, seeds


@few
@given(st.data(), arithmetics(narrow=True), seeds, st.integers(1, 20), st.integers(0, 20))
def test_any_split_of_k_gives_the_same(
    data: st.DataObject, arithmetic: Arithmetic, seed: int, first: int, second: int
) -> None:
    x = codes(seed, (3, first + second), arithmetic.activation_range)
    w = codes(seed + 1, (first + second, 4), arithmetic.weight_range)
    zero = data.draw(edge_integers(*arithmetic.activation_range))
    bias = np.array(data.draw(st.lists(edge_integers(*arithmetic.bias_range), min_size=4, max_size=4)))
    left = x.astype(np.int64) - zero
    for compiled in (True, False):
        start = np.tile(bias, (3, 1)), np.zeros((3, 4), np.bool_)
        middle = walk(left[:, :first], w[:first], *start, arithmetic, compiled=compiled)
        end = walk(left[:, first:], w[first:], *middle, arithmetic, compiled=compiled)
        assert_array_equal(start[0], np.tile(bias, (3, 1)))
        assert not start[1].any()
        for result, whole in zip(end, accumulate(x, w, bias, arithmetic, zero), strict=True):
            assert_array_equal(result, whole)


@pytest.mark.parametrize("compiled", [True, False])
def test_flags_are_kept(compiled: bool) -> None:
    acc, flags = walk(
        np.ones((1, 2), np.int16),
        np.ones((2, 2), np.int8),
        np.array([[5, 6]]),
        np.array([[True, False]]),
        Arithmetic(),
        compiled=compiled,
    )
    assert_array_equal(acc, [[7, 8]])
    assert_array_equal(flags, [[True, False]])


def test_tiles_of_rows_lanes_and_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    x, w = codes(1, (50, 300), (-128, 127)), codes(2, (300, 40), (-128, 127))
    arithmetic = Arithmetic(accumulator_bits=14)
    whole = accumulate(x, w, np.zeros(40, np.int64), arithmetic, 9, compiled=False)
    for name, size in (("TILE_ROWS", 7), ("TILE_LANES", 9), ("TILE_STEPS", 11), ("PARALLEL_STEPS", 1)):
        monkeypatch.setattr(f"emulator.operators.products.walk.{name}", size)
    for part, other in zip(accumulate(x, w, np.zeros(40, np.int64), arithmetic, 9), whole, strict=True):
        assert_array_equal(part, other)
