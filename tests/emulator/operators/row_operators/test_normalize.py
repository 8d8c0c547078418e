"""`layer_norm` and `rms_norm`: rows without spread, invariances, and bad input."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from emulator import Arithmetic
from emulator.operators.row_operators import layer_norm, make_normalization, rms_norm
from emulator.operators.row_operators.normalize import layer_norm_with_clips, reciprocal_root
from tests.emulator.strategies import codes

ARITHMETIC = Arithmetic()
SCALES = {"x_scale": 0.1, "x_zero_point": 3, "y_scale": 0.05, "zero_point": -5, "y_min": -128, "y_max": 127}


def made(length: int, **arguments: Any) -> Any:
    return make_normalization(length, arithmetic=ARITHMETIC, **(SCALES | arguments))


@pytest.mark.parametrize("epsilon", [0.0, 1e-5])
def test_rows_without_spread_give_beta(epsilon: float) -> None:
    beta = np.linspace(-3, 3, 16)
    parameters = made(16, beta=beta, epsilon=epsilon)
    expected = np.rint(beta / float(np.float32(0.05))) - 5
    for code in (-128, 3, 127):
        assert_array_equal(layer_norm(np.full((2, 16), code, np.int8), parameters, ARITHMETIC), [expected] * 2)
    assert_array_equal(rms_norm(np.full((2, 16), 3, np.int8), parameters, ARITHMETIC), [expected] * 2)
    assert layer_norm(np.array([[77]], np.int8), made(1), ARITHMETIC).tolist() == [[-5]]
    assert rms_norm(np.array([[77], [2]], np.int8), made(1), ARITHMETIC).tolist() == [[15], [-25]]


def test_what_the_mean_takes_away_does_not_matter() -> None:
    x = codes(1, (3, 5, 32), (-100, 90))
    parameters = made(32, gamma=np.linspace(-2, 2, 32))
    y = layer_norm(x, parameters, ARITHMETIC)
    assert_array_equal(layer_norm(x + np.int8(30), parameters, ARITHMETIC), y)
    assert_array_equal(layer_norm(x, replace(parameters, x_zero_point=-70), ARITHMETIC), y)
    order = np.random.default_rng(2).permutation(32)
    fields = {name: getattr(parameters, name)[order] for name in ("gamma", "gamma_shift", "beta")}
    assert_array_equal(layer_norm(x[..., order], replace(parameters, **fields), ARITHMETIC), y[..., order])


def test_a_code_beyond_the_range_clips() -> None:
    parameters = made(2, y_scale=0.005)
    y, clipped = layer_norm_with_clips(np.array([[1, 2]], np.int8), parameters, ARITHMETIC)
    assert y.tolist() == [[-128, 127]] and clipped.tolist() == [[True, True]]


def test_the_root_at_the_ends_of_its_widths() -> None:
    largest = 4096 * 4096 * 255**2
    spread = np.array([0, 1, 2, 3, 4, 2**38, largest, largest + 1])
    for epsilon in (0, 1, 65536, 1 << 61):
        root, exponent = reciprocal_root(spread, epsilon)
        assert root[0] == 0 and root[1:].min() >= 1 << 15 and root.max() < 1 << 16 and exponent.max() <= 22
        exact = 1 / np.sqrt(spread[1:].astype(np.longdouble) + np.longdouble(epsilon) / 65536)
        found = root[1:] / np.exp2((16 + exponent[1:]).astype(np.longdouble))
        assert (np.abs(found / exact - 1) <= 2.0**-16 + 2.0**-26).all()


@pytest.mark.parametrize(
    ("length", "arguments", "message"),
    [
        (4097, {}, "length must be from 1 to 4096, not 4097"),
        (0, {}, "length must be from 1 to 4096, not 0"),
        (4, {"gamma": np.ones(5)}, r"gamma must have shape \(4,\), an element for each of a row, not \(5,\)"),
        (4, {"beta": np.ones((1, 4))}, r"beta must have shape \(4,\), an element for each of a row, not \(1, 4\)"),
        (4, {"gamma": [1, 2, np.inf, 3]}, "gamma must be finite, not inf at index 2"),
        (4, {"gamma": [1, 4000, 1, 1]}, r"gamma must be below 2\^16 · y_scale in magnitude, not 4000.0 at index 1"),
        (4, {"beta": [0, 0, 0, -2e3]}, r"beta must be below 2\^15 · y_scale in magnitude, not -2000.0 at index 3"),
        (
            4,
            {"beta": 1e300, "gamma": 0.0, "y_scale": 1e-30},
            r"beta must be below 2\^15 · y_scale in magnitude, not 1e\+300",
        ),
        (4, {"epsilon": -1e-5}, "epsilon must be a finite number of at least 0, not -1e-05"),
        (4096, {"epsilon": 1.0, "x_scale": 1e-4}, r"epsilon must be at most 2\^45 · \(x_scale / length\)\^2 = 0.0209"),
        (4, {"x_scale": -1.0}, "x_scale must be positive finite float32, not "),
        (4, {"x_zero_point": 128}, "x_zero_point must be from -128 to 127, not 128"),
    ],
)
def test_bad_scales(length: int, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        made(length, **arguments)


@pytest.mark.parametrize("norm", [layer_norm, rms_norm])
def test_bad_input(norm: Any) -> None:
    parameters, x = made(8), np.zeros((2, 8), np.int8)
    message = r"x must have rows of 8 codes, one for each element of gamma, not 7 \(shape \(2, 7\)\)"
    with pytest.raises(ValueError, match=message):
        norm(x[:, :7], parameters, ARITHMETIC)
    with pytest.raises(TypeError, match="parameters must be a NormalizationParameters, not None"):
        norm(x, None, ARITHMETIC)
    with pytest.raises(TypeError, match="x must be an int8 array, not int16 array"):
        norm(x.astype(np.int16), parameters, ARITHMETIC)
    with pytest.raises(ValueError, match="zero_point must be from -2 to 1, not -5"):
        norm(x, replace(parameters, x_zero_point=0), Arithmetic(activation_bits=2))


def test_bad_parameters() -> None:
    parameters = made(8)
    for fields, message in (
        ({"epsilon": (1 << 61) + 1}, "epsilon must be from 0 to 2305843009213693952"),
        ({"gamma": np.full(8, 1 << 16)}, "gamma must be from -65535 to 65535, not 65536 at index 0"),
        ({"gamma": np.ones((8, 1), np.int64)}, r"gamma must have shape \(N,\) with N from 1 to 4096, not \(8, 1\)"),
        ({"gamma_shift": np.full(8, 25)}, "gamma_shift must be from 0 to 24, not 25 at index 0"),
        ({"beta": np.zeros(7, np.int64)}, r"beta must have shape \(8,\), that of gamma, not \(7,\)"),
        ({"beta": np.full(8, 1 << 31)}, "beta must be from -2147483648 to 2147483647"),
    ):
        with pytest.raises(ValueError, match=message):
            replace(parameters, **fields)
