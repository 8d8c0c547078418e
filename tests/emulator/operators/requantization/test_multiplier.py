"""Scales to integer multipliers and shifts."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from emulator import Arithmetic, layer_scales, quantize_adder, quantize_multiplier, quantize_rescaled_adder
from emulator.operators.requantization.multiplier import rescaled_adder_multipliers
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


def test_vectors_of_the_rescaled_adder() -> None:
    cases = vectors("add_rescaled")
    assert len(cases) == 600
    names = ("a_multiplier", "a_shift", "b_multiplier", "b_shift", "multiplier", "shift")
    for case in cases:
        scales = [float.fromhex(case[f"{name}_scale"]) for name in "aby"]
        found = rescaled_adder_multipliers(*scales, Arithmetic.tflm())
        assert found == tuple(case[name] for name in names), case


@many
@given(st.floats(0, 2.0**31, exclude_max=True), st.integers(1, 31), st.integers(-1, 1))
def test_double_takes_tflm_s_multipliers(scale: float, bits: int, step: int) -> None:
    """Ties of the last bit away from zero, a scale that rounds below 2^−32 is 0."""
    arithmetic = Arithmetic(multiplier_bits=bits, rounding="double")
    tie = math.ldexp(round(scale) + 0.5, step - 2)  # often a tie of the last bit
    for value in (scale, tie, math.ldexp(tie, -40), math.ldexp(1.0, -32), math.ldexp(1 - 2.0**-bits, -32)):
        try:
            expected = oracle.quantize_multiplier(Fraction(value), bits, "double")
        except ValueError:
            with pytest.raises(ValueError, match=f"scale must be below 2\\^{bits}, not "):
                quantize_multiplier(value, arithmetic)
            continue
        assert quantize_multiplier(value, arithmetic) == expected
        assert tuple(int(v) for v in quantize_multiplier(np.array(value), arithmetic)) == expected


def test_what_tflm_counts_as_zero() -> None:
    tflm = Arithmetic.tflm()
    assert quantize_multiplier(2.0**-32, tflm) == (2**30, 62)
    assert quantize_multiplier(2.0**-32 * (1 - 2.0**-20), tflm) == (0, 0)
    assert quantize_multiplier(2.0**-32 * (1 - 2.0**-40), tflm) == (2**30, 62)  # its multiplier rounds up to 2^31
    assert quantize_multiplier(2.0**-32 * (1 - 2.0**-20), Arithmetic(multiplier_bits=31)) == (2**30 - 2**10, 62)


def test_the_rescaled_adder_rounds_scales_to_float32() -> None:
    tflm = Arithmetic.tflm()
    a, b, y = (float(np.float32(value)) for value in (0.1, 0.7, 0.9))
    assert quantize_rescaled_adder(0.1, 0.7, 0.9, tflm) == rescaled_adder_multipliers(a, b, y, tflm)
    assert quantize_rescaled_adder(0.1, 0.7, 0.9, tflm) != rescaled_adder_multipliers(0.1, 0.7, 0.9, tflm)
    with pytest.raises(
        ValueError, match=r"2 · max\(scale_a, scale_b\) / \(2\^20 · scale_y\) must be below 2\^2, not 16.0"
    ):
        quantize_rescaled_adder(2.0**22, 2.0**23, 1.0, Arithmetic(multiplier_bits=2))
    with pytest.raises(ValueError, match="scale_b must be positive finite float32"):
        quantize_rescaled_adder(1.0, 0.0, 1.0, tflm)


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
