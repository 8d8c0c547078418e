"""Scales to integer multipliers and shifts."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from emulator import Arithmetic, layer_scales, quantize_adder, quantize_multiplier
from tests import oracle
from tests.emulator.strategies import many, vectors


def test_vectors() -> None:
    cases = vectors("multiplier")
    assert len(cases) == 576
    for case in cases:
        arithmetic = Arithmetic(multiplier_bits=case["multiplier_bits"])
        result = quantize_multiplier(float.fromhex(case["scale"]), arithmetic)
        assert result == (case["multiplier"], case["shift"]), case
        assert [type(value) for value in result] == [int, int]


@many
@given(st.floats(0, 2.0**31, exclude_max=True), st.integers(1, 31))
def test_oracle(scale: float, bits: int) -> None:
    arithmetic = Arithmetic(multiplier_bits=bits)
    try:
        expected = oracle.quantize_multiplier(Fraction(scale), bits)
    except ValueError:
        with pytest.raises(ValueError, match=f"scale must be below 2\\^{bits}, not "):
            quantize_multiplier(scale, arithmetic)
        return
    multiplier, shift = quantize_multiplier(scale, arithmetic)
    assert (multiplier, shift) == expected
    assert 0 <= multiplier < 2**bits and 0 <= shift <= 62
    if shift < 62 and scale:
        assert abs(Fraction(multiplier, 2**shift) - Fraction(scale)) <= Fraction(scale) / 2**bits


def test_arrays() -> None:
    scales = np.array([[0.5, 0.1, 0.0], [1e-30, 3.7, 2**-20]])
    multiplier, shift = quantize_multiplier(scales, Arithmetic())
    assert multiplier.dtype == shift.dtype == np.int64 and multiplier.shape == shift.shape == (2, 3)
    for index in np.ndindex(2, 3):
        expected = quantize_multiplier(float(scales[index]), Arithmetic())
        assert (int(multiplier[index]), int(shift[index])) == expected
    assert quantize_multiplier(np.zeros((0,)), Arithmetic())[0].shape == (0,)


@pytest.mark.parametrize(
    ("scale", "error", "message"),
    [
        (-0.5, ValueError, "scale must be finite and at least 0, not -0.5"),
        (math.nan, ValueError, "scale must be finite and at least 0, not nan"),
        (math.inf, ValueError, "scale must be finite and at least 0, not inf"),
        (np.array([0.5, -1.0]), ValueError, r"scale\[1\] must be finite and at least 0, not -1.0"),
        (2.0**24, ValueError, r"scale must be below 2\^24, not 16777216.0"),
        ("1", TypeError, "scale must be a float or an array of floats, not '1'"),
    ],
)
def test_errors(scale: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        quantize_multiplier(scale, Arithmetic())  # type: ignore[call-overload]


positive = st.floats(2.0**-20, 2.0**10, width=32)


@many
@given(positive, positive, positive, st.integers(1, 31))
def test_adder(a: float, b: float, y: float, bits: int) -> None:
    arithmetic = Arithmetic(multiplier_bits=bits)
    wide = max(bits, 16)
    try:
        larger, shift = oracle.quantize_multiplier(Fraction(max(a, b) / y), wide)
    except ValueError:
        with pytest.raises(ValueError, match=r"max\(scale_a, scale_b\) / scale_y must be below"):
            quantize_adder(a, b, y, arithmetic)
        return
    other = oracle.round_fraction(Fraction(min(a, b) / y) * 2**shift, "half_even")
    assert quantize_adder(a, b, y, arithmetic) == ((larger, other, shift) if a >= b else (other, larger, shift))
    assert quantize_adder(b, a, y, arithmetic) == ((larger, other, shift) if b >= a else (other, larger, shift))


def test_layer_scales_from_left_to_right() -> None:
    sx, sw, sy = np.float32(0.1), np.append(np.linspace(0.3, 0.4, 50), 1e-30).astype(np.float32), np.float32(0.7)
    expected = [float(sx) * float(w) / float(sy) for w in sw]
    assert expected != [float(sx) * (float(w) / float(sy)) for w in sw]  # the order shows
    scales = layer_scales(sx, sw, sy)
    assert scales.dtype == np.float64
    assert_array_equal(scales, expected)


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf, 1e-60, 1e60])
def test_scale_errors(bad: float) -> None:
    with pytest.raises(ValueError, match="x_scale must be positive finite float32, not"):
        layer_scales(bad, 1.0, 1.0)
    with pytest.raises(ValueError, match="w_scale must be positive finite float32, not"):
        layer_scales(1.0, np.array([1.0, bad]), 1.0)
    with pytest.raises(ValueError, match="scale_y must be positive finite float32, not"):
        quantize_adder(1.0, 1.0, bad, Arithmetic())
