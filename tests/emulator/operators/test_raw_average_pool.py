"""The average of raw codes, and the multiplier with which a requantizer makes it."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from emulator import Arithmetic, raw_average_multiplier, raw_average_multipliers, raw_average_pool, requantize
from tests import oracle
from tests.emulator.strategies import codes, few, seeds, vectors

TFLM = Arithmetic.tflm()
EXACT = ("half_even", "half_up", "half_away", "double")


def mean(taps: list[int]) -> int:
    return oracle.round_fraction(Fraction(sum(taps), len(taps)), "half_away")


def test_vectors() -> None:
    cases = vectors("average_raw")
    assert len(cases) == 300
    for case in cases:
        x = np.array(case["codes"], np.int8)[None, :, None, None]
        limits = {"y_min": case["y_min"], "y_max": case["y_max"]}
        result = raw_average_pool(x, (len(case["codes"]), 1), (1, 1), **limits, arithmetic=TFLM)
        assert result.dtype == np.int8 and result.item() == case["y"], case


@few
@given(st.data(), seeds)
def test_oracle_and_requantizer(data: st.DataObject, seed: int) -> None:
    draw = data.draw
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    strides = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    padding = draw(st.tuples(*[st.integers(0, kernel[axis % 2] - 1) for axis in range(4)]))
    dilations = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    size = tuple((k - 1) * d + 1 + draw(st.integers(0, 3)) for k, d in zip(kernel, dilations, strict=True))
    x = codes(seed, (2, *size, 3), (-128, 127))
    window = kernel, strides, padding, dilations
    result = raw_average_pool(x, *window, y_min=-90, y_max=90, arithmetic=TFLM)
    means = np.array([oracle.pool(image, mean, *window) for image in x.tolist()])
    assert_array_equal(result, np.clip(means, -90, 90))
    totals = np.array([oracle.pool(image, sum, *window) for image in x.tolist()])
    for rounding in EXACT:
        arithmetic = Arithmetic(multiplier_bits=31, rounding=rounding)
        multiplier, shift = raw_average_multipliers(size, *window, arithmetic=arithmetic)
        made = requantize(totals, multiplier[:, :, None], shift[:, :, None], 0, -90, 90, arithmetic)
        assert_array_equal(made, result)


@pytest.mark.parametrize("rounding", EXACT)
@pytest.mark.parametrize(("multiplier_bits", "largest"), [(24, 40), (31, 100)])
def test_every_total_there_is(rounding: str, multiplier_bits: int, largest: int) -> None:
    arithmetic = Arithmetic(multiplier_bits=multiplier_bits, rounding=rounding)
    for n in (*range(1, largest), 121, 128, 196, 255, *((510, 1000, 4098, 8192) if multiplier_bits == 31 else ())):
        totals = np.arange(-128 * n, 127 * n + 1)
        halves = 2 * np.abs(totals) + n  # half away: floor(|total| / n + 1/2), with the sign of the total
        expected = np.sign(totals) * (halves // (2 * n))
        multiplier, shift = raw_average_multiplier(n, arithmetic)
        assert_array_equal(requantize(totals, multiplier, shift, 0, -128, 127, arithmetic), expected)


@pytest.mark.parametrize(
    ("n", "arithmetic"),
    [
        (4094, TFLM),
        (4095, TFLM),
        (4096, TFLM),
        (5000, TFLM),
        (1 << 15, TFLM),
        (65_534, TFLM),
        (1 << 21, Arithmetic(multiplier_bits=31)),
        (15, Arithmetic(multiplier_bits=16, rounding="double")),
        (15, Arithmetic(multiplier_bits=8, activation_bits=2, rounding="half_up")),
    ],
)
def test_totals_at_the_ends_and_around_ties_of_large_windows(n: int, arithmetic: Arithmetic) -> None:
    multiplier, shift = raw_average_multiplier(n, arithmetic)
    low, high = arithmetic.activation_range
    for code in (*range(low, low + 3), -1, 0, 1, *range(high - 2, high)):
        for total in (code * n + n // 2 + step for step in (-1, 0, 1, 2)):
            if low * n <= total <= high * n:
                exact = oracle.divide(total * multiplier, shift, arithmetic.rounding, arithmetic.multiplier_bits)
                assert exact == oracle.round_fraction(Fraction(total, n), "half_away"), (total, n)


@pytest.mark.parametrize("arithmetic", [TFLM, Arithmetic(), Arithmetic(rounding="half_away", multiplier_bits=16)])
def test_totals_of_differences_from_the_least_code(arithmetic: Arithmetic) -> None:
    """0 … 255 · n, which take a code of 9 bits; with −128 as the zero point they are the codes of uint8."""
    for n in (1, 2, 3, 4, 6, 9, 12, 25, 48, 49, 64):
        totals = np.arange(0, 255 * n + 1)
        multiplier, shift = raw_average_multiplier(n, arithmetic, 9)
        expected = (2 * totals + n) // (2 * n) - 128
        assert_array_equal(requantize(totals, multiplier, shift, -128, -128, 127, arithmetic), expected)


def test_errors() -> None:
    message = "rounding must be one of half_even, half_up, half_away, double for an average of raw codes, not 'floor'"
    with pytest.raises(ValueError, match=message):
        raw_average_multiplier(4, Arithmetic(rounding="floor"))
    with pytest.raises(ValueError, match="n must be smaller for multiplier_bits 31, not 4239: no multiplier averages"):
        raw_average_multiplier(4239, TFLM)
    with pytest.raises(ValueError, match="n must be from 1 to"):
        raw_average_multiplier(0, TFLM)
    x = np.zeros((1, 4, 4, 1), np.int8)
    limits: dict[str, Any] = {"y_min": -128, "y_max": 127, "arithmetic": TFLM}
    with pytest.raises(ValueError, match="padding must leave every window a position on the map"):
        raw_average_pool(x, (1, 1), (1, 1), (1, 0, 0, 0), **limits)
    with pytest.raises(ValueError, match="padding must leave every window a position on the map"):
        raw_average_multipliers((4, 4), (1, 1), (1, 1), (1, 0, 0, 0), arithmetic=TFLM)
    with pytest.raises(TypeError, match="x must be an int8 array"):
        raw_average_pool(x.astype(np.int16), (2, 2), (1, 1), **limits)
