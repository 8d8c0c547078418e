"""Products, rescaled codes and means of TFLM: multipliers of 31 bits and `double` rounding, against the package."""

from __future__ import annotations

import numpy as np
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from emulator import tflm
from tests.emulator.tflm.asked import EVERY_CODE, Quantization, asked, draws


def requantized(acc: NDArray[np.int64], multiplier: int, shift: int, y: Quantization) -> NDArray[np.int8]:
    """Section 10 in Python integers."""

    def one(value: int) -> int:
        rounding = (1 << (shift - 1) if shift else 0) + ((1 if value >= 0 else -1) << 30 if shift > 31 else 0)
        return min(max(y[1] + ((value * multiplier + rounding) >> shift), -128), 127)

    return np.array([one(int(value)) for value in acc.flat], np.int8).reshape(acc.shape)


def test_mul() -> None:
    rng = np.random.default_rng(5)
    for a, b, y, _ in draws(20, 5):
        codes = [rng.integers(-128, 128, (1, 200)).astype(np.int8) for _ in "ab"]
        multiplier, exponent = tflm.scale_multiplier(a[0] * b[0] / y[0])
        acc = (codes[0].astype(np.int64) - a[1]) * (codes[1].astype(np.int64) - b[1])
        expected = asked("MUL", [(codes[0], a), (codes[1], b)], ((1, 200), y))
        assert_array_equal(requantized(acc, multiplier, 31 - exponent, y), expected, err_msg=f"{a} {b} {y}")


def test_quantize() -> None:
    for x, y, _, _ in draws(40, 6):
        multiplier, exponent = tflm.scale_multiplier(x[0] / y[0])
        acc = EVERY_CODE.astype(np.int64) - x[1]
        expected = asked("QUANTIZE", [(EVERY_CODE, x)], (EVERY_CODE.shape, y))
        assert_array_equal(requantized(acc, multiplier, 31 - exponent, y), expected, err_msg=f"{x} {y}")


def test_mean() -> None:
    rng = np.random.default_rng(7)
    for number, (x, y, _, _) in enumerate(draws(20, 7)):
        for axes, keep in [((1, 2), True), ((1, 2), False), ((3,), True), ((1,), False), ((2, 3), True)]:
            out = x if number % 3 == 0 else y
            codes = rng.integers(-128, 128, (1, *rng.integers(1, 9, 3))).astype(np.int8)
            acc = codes.astype(np.int64).sum(axes, keepdims=keep)
            n = codes.size // acc.size
            expected = asked("MEAN", [(codes, x)], (acc.shape, out), {"KeepDims": keep}, [np.array(axes, np.int32)])
            found = requantized(acc - x[1] * n, *tflm.mean_multiplier(x[0], out[0], n), out)
            assert_array_equal(found, expected, err_msg=f"{x} {out} {codes.shape} {axes}")
