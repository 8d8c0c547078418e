"""TFLM's softmax against the package."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from emulator import tflm
from tests.emulator.tflm.asked import asked, draws

PROBABILITY = 1 / 256, -128


def test_rows() -> None:
    rng = np.random.default_rng(8)
    for x, _, _, beta in draws(60, 8):
        codes = rng.integers(-128, 128, (1, *rng.integers(1, 40, 2))).astype(np.int8)
        codes >>= rng.integers(0, 7)
        expected = asked("SOFTMAX", [(codes, x)], (codes.shape, PROBABILITY), {"Beta": abs(beta)})
        assert_array_equal(tflm.softmax(codes, x[0], abs(beta)), expected, err_msg=f"{x} {beta} {codes.shape}")


def test_equal_codes() -> None:
    for length in (1, 2, 3, 255, 511):  # TFLM stops where a row sums to 512 or more
        codes = np.full((1, length), 5, np.int8)
        expected = asked("SOFTMAX", [(codes, (0.1, 0))], (codes.shape, PROBABILITY), {"Beta": 1.0})
        assert_array_equal(tflm.softmax(codes, 0.1), expected)


def test_refusals() -> None:
    with pytest.raises(ValueError, match="must sum to less than 4096"):
        tflm.softmax(np.zeros((1, 4096), np.int8), 0.1)
    with pytest.raises(ValueError, match="must be above 2\\^−26"):
        tflm.softmax(np.zeros((1, 4), np.int8), 2.0**-26)


def test_long_rows_vanish() -> None:
    assert_array_equal(tflm.softmax(np.full((1, 600), 5, np.int8), 0.1), np.full((1, 600), -128, np.int8))
