"""Codes from real numbers and back, on the host."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from emulator import Arithmetic, clamp_bias, dequantize, quantize, quantize_bias, quantize_weight, weight_scale
from tests import oracle
from tests.emulator.strategies import codes, few, many, seeds

scales = st.floats(2.0**-100, 2.0**100, width=32)


@many
@given(st.floats(width=32, allow_nan=False), scales, st.integers(-128, 127))
def test_quantize(x: float, scale: float, zero: int) -> None:
    with np.errstate(over="ignore", under="ignore"):
        quotient = float(np.float32(x) / np.float32(scale))
    if math.isinf(quotient):
        expected = 127 if quotient > 0 else -128
    else:
        expected = max(-128, min(127, zero + oracle.round_fraction(Fraction(quotient), "half_even")))
    result = quantize(np.array([x], np.float32), scale, zero)
    assert result.dtype == np.int8 and result[0] == expected


def test_rounds_before_the_zero_point_is_added() -> None:
    """As torch.fake_quantize does; torch.quantize_per_tensor would give 2, 4, 4."""
    assert_array_equal(quantize([0.5, 1.5, 2.5], 1.0, 1), [1, 3, 3])


def test_the_division_is_in_float32() -> None:
    x, scale = np.float32(0.35), np.float32(0.1)
    assert float(x) / float(scale) != 3.5 and float(x / scale) == 3.5
    assert quantize(x, scale, 0) == 4


def test_narrow_range_and_infinity() -> None:
    assert_array_equal(quantize([-math.inf, -1.0, 1.0, math.inf, 1e30], 0.1, 3, -8, 7), [-8, -7, 7, 7, 7])


@few
@given(seeds, scales, st.integers(-128, 127))
def test_round_trip(seed: int, scale: float, zero: int) -> None:
    x = codes(seed, (3, 4), (-128, 127))
    real = dequantize(x, scale, zero)
    assert real.dtype == np.float32
    assert_array_equal(real, (x.astype(np.float32) - np.float32(zero)) * np.float32(scale))
    assert_array_equal(quantize(real, scale, zero), x)


def test_weights() -> None:
    w = np.array([[[0.6, -1.0], [0.25, 0.0]], [[0.0, 0.0], [0.0, 0.0]], [[3.0, 0.1], [-0.2, 0.3]]], np.float32)
    arithmetic = Arithmetic(weight_bits=4)
    scale = weight_scale(w, arithmetic)
    assert_array_equal(scale, np.array([1 / np.float32(7), 3 / np.float32(7), 3 / np.float32(7)], np.float32))
    assert_array_equal(quantize_weight(w, scale, arithmetic)[0], [[4, -7], [2, 0]])
    assert_array_equal(quantize_weight(w, scale, arithmetic)[1], np.zeros((2, 2)))
    assert_array_equal(quantize_weight(-w * 9, scale, arithmetic)[2], [[-7, -2], [4, -6]])
    assert_array_equal(quantize_weight(np.moveaxis(w, 0, 2), scale, arithmetic, axis=2)[..., 0], [[4, -7], [2, 0]])
    assert weight_scale(w, arithmetic, axis=None) == np.float32(3) / np.float32(7)
    assert weight_scale(w, arithmetic, bits=2)[0] == 1
    assert_array_equal(weight_scale(w * 0, arithmetic), [1, 1, 1])


def test_bias() -> None:
    sx, sw = np.float32(0.1), np.array([0.25, 0.5], np.float32)
    bias = np.array([0.0625, -1e6], np.float32)
    rounded = quantize_bias(bias, sx, sw, Arithmetic(accumulator_bits=12))
    assert_array_equal(rounded, [round(0.0625 / (float(sx) * 0.25)), round(-1e6 / (float(sx) * 0.5))])
    assert_array_equal(clamp_bias(rounded, Arithmetic(accumulator_bits=12)), [2, -2048])
    assert_array_equal(
        clamp_bias(rounded * 10**6, Arithmetic(accumulator_bits=48, multiplier_bits=15)), [2 * 10**6, -(2**31)]
    )


def test_errors() -> None:
    arithmetic = Arithmetic()
    for bad in (0.0, -1.0, math.nan, math.inf, 1e-60):
        with pytest.raises(ValueError, match="scale must be positive finite float32, not"):
            quantize([1.0], bad, 0)
        with pytest.raises(ValueError, match="scale must be positive finite float32, not"):
            dequantize(np.zeros(2, np.int8), bad, 0)
        with pytest.raises(ValueError, match="w_scale must be positive finite float32, not"):
            quantize_bias([1.0], 1.0, [bad], arithmetic)
    with pytest.raises(TypeError, match="scale must be a float32 or an array of float32, not '1'"):
        quantize([1.0], "1", 0)
    with pytest.raises(ValueError, match="x must not contain NaN"):
        quantize([1.0, math.nan], 1.0, 0)
    with pytest.raises(TypeError, match="x must be an array of floats, not"):
        quantize(["a"], 1.0, 0)
    with pytest.raises(ValueError, match="zero_point must be from -128 to 127, not 128"):
        quantize([1.0], 1.0, 128)
    with pytest.raises(ValueError, match="low must be at most high, not 3 with high 2"):
        quantize([1.0], 1.0, 0, 3, 2)
    with pytest.raises(TypeError, match="codes must be an int8 array, not int64"):
        dequantize(np.zeros(2, np.int64), 1.0, 0)
    with pytest.raises(ValueError, match="scale must have 2 elements, one per channel, not 3"):
        quantize_weight(np.zeros((2, 3)), [1.0, 1.0, 1.0], arithmetic)
    with pytest.raises(ValueError, match="bits must be from 2 to 8, not 9"):
        weight_scale(np.zeros((2, 3)), arithmetic, bits=9)
    with pytest.raises(ValueError, match="w must be finite"):
        weight_scale(np.full((2, 3), math.inf), arithmetic)
    with pytest.raises(ValueError, match="bias must be finite and below"):
        quantize_bias([math.inf], 1.0, 1.0, arithmetic)
