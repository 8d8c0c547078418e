"""Tables of TFLM's unary operators against the package, over all 256 codes."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from emulator import tflm
from tests.emulator.tflm.asked import EVERY_CODE, asked, draws

SHAPE = EVERY_CODE.shape


def test_logistic_and_tanh() -> None:
    for x, _, _, _ in draws(60, 1):
        expected = asked("LOGISTIC", [(EVERY_CODE, x)], (SHAPE, (1 / 256, -128)))[0]
        assert_array_equal(tflm.logistic_table(*x), expected, err_msg=str(x))
        expected = asked("TANH", [(EVERY_CODE, x)], (SHAPE, (1 / 128, 0)))[0]
        assert_array_equal(tflm.tanh_table(*x), expected, err_msg=str(x))


def test_hard_swish() -> None:
    refused = 0
    for x, y, _, _ in draws(150, 2):
        if float(np.float32(x[0] / 128) / np.float32(y[0])) >= 1:
            with pytest.raises(ValueError, match="scale of the input must be below 128 times"):
                tflm.hard_swish_table(*x, *y)
            refused += 1
            continue
        expected = asked("HARD_SWISH", [(EVERY_CODE, x)], (SHAPE, y))[0]
        assert_array_equal(tflm.hard_swish_table(*x, *y), expected, err_msg=f"{x} {y}")
    assert refused < 60


def test_hard_swish_of_a_small_input() -> None:
    """Shifts of more than 15 bits leave ±1 of a 16-bit value."""
    x, y = (2.0**-14, 3), (1.0, -5)
    expected = asked("HARD_SWISH", [(EVERY_CODE, x)], (SHAPE, y))[0]
    table = tflm.hard_swish_table(*x, *y)
    assert_array_equal(table, expected)
    assert set(table.tolist()) == {-6, -4}


def test_leaky_relu_and_relu() -> None:
    for x, y, _, alpha in draws(60, 3):
        expected = asked("LEAKY_RELU", [(EVERY_CODE, x)], (SHAPE, y), {"Alpha": alpha})[0]
        assert_array_equal(tflm.leaky_relu_table(*x, *y, alpha), expected, err_msg=f"{x} {y} {alpha}")
        expected = asked("RELU", [(EVERY_CODE, x)], (SHAPE, y))[0]
        assert_array_equal(tflm.relu_table(*x, *y), expected, err_msg=f"{x} {y}")


def test_relu6_ignores_the_output_scale() -> None:
    for (sx, zx), y, _, _ in draws(40, 4):
        high = min(zx + int(np.floor(6 / np.float64(np.float32(sx)) + 0.5)), 127)
        expected = asked("RELU6", [(EVERY_CODE, (sx, zx))], (SHAPE, y))[0]
        assert_array_equal(tflm.clamp_table(zx, high), expected, err_msg=f"{sx} {zx}")


def test_refused_scales() -> None:
    with pytest.raises(ValueError, match="must be at least 2\\^−28"):
        tflm.logistic_table(2.0**-29, 0)
    with pytest.raises(ValueError, match="must be at least 2\\^−28"):
        tflm.tanh_table(2.0**-29, 0)


def test_products_of_32_bits() -> None:
    """A scale of 2^23 shifts codes by 24 bits: from −128 to 127 they fit, one more on either side does not."""
    expected = asked("LEAKY_RELU", [(EVERY_CODE, (2.0**23, 0))], (SHAPE, (1.0, 0)), {"Alpha": 1.0})[0]
    assert_array_equal(tflm.leaky_relu_table(2.0**23, 0, 1.0, 0, 1.0), expected)
    for make in (
        lambda: tflm.leaky_relu_table(2.0**23, 1, 1.0, 0, 1.0),
        lambda: tflm.leaky_relu_table(2.0**23, -1, 1.0, 0, 1.0),
        lambda: tflm.leaky_relu_table(0.1, 0, 0.1, 0, 1e30),
        lambda: tflm.relu_table(2.0**23, -1, 1.0, 0),
    ):
        with pytest.raises(ValueError, match="32-bit products are undefined; make it larger"):
            make()
