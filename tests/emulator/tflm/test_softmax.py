"""TFLM's softmax against the package."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from codesign.peers.litert import run_litert
from compiler.tflite.writer import FileOperator, FileTensor, tflite_file
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
    for length in (1, 2, 3, 7, 100, 255):
        codes = np.full((1, length), 5, np.int8)
        expected = asked("SOFTMAX", [(codes, (0.1, 0))], (codes.shape, PROBABILITY), {"Beta": 1.0})
        assert_array_equal(tflm.softmax(codes, 0.1), expected)


def test_long_rows_as_in_litert() -> None:
    """Every row by both functions."""
    pytest.importorskip("ai_edge_litert", reason="the package ai-edge-litert is not installed (extra litert)")
    rng = np.random.default_rng(9)
    for length, scale in ((300, 0.1), (600, 1e-3), (1001, 0.02), (5000, 0.2)):
        codes = rng.integers(-128, 128, (6, length)).astype(np.int8)
        codes[0] = 3
        tensors = [
            FileTensor("x", codes.shape, scale=scale),
            FileTensor("y", codes.shape, scale=1 / 256, zero_point=-128),
        ]
        file = tflite_file(tensors, [FileOperator("SOFTMAX", ["x"], ["y"], {"Beta": 1.0})], ["x"], ["y"])
        expected = run_litert(file, {"x": codes})["y"]
        assert_array_equal(tflm.rounded_softmax(codes, float(np.float32(scale))), expected)
        assert_array_equal(tflm.softmax(codes, float(np.float32(scale))), expected)


def test_refusals() -> None:
    with pytest.raises(ValueError, match="must be above 2\\^−26"):
        tflm.softmax(np.zeros((1, 4), np.int8), 2.0**-26)
    with pytest.raises(ValueError, match="must be positive and finite, not 0"):
        tflm.rounded_softmax(np.zeros((1, 4), np.int8), 0.1, 0.0)
