"""`softmax`: masks, empty rows, the table, and bad input."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import floor
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from emulator import Arithmetic
from emulator.operators.row_operators import SoftmaxParameters, causal_mask, make_softmax, padding_mask, softmax
from emulator.operators.row_operators.rows import bit_length, floor_root, row_multiplier_bits
from emulator.operators.row_operators.softmax import row_multiplier, softmax_with_clips
from emulator.operators.row_operators.softmax_parameters import exp_table
from tests.emulator.strategies import codes
from tools.row_vectors import exp_entry

ARITHMETIC = Arithmetic()
PARAMETERS = make_softmax(0.05, 1 / 256, -128, -128, 127, ARITHMETIC)


def test_the_table_is_correctly_rounded() -> None:
    generator = np.random.default_rng(1)
    for step in (*np.exp(generator.uniform(-14, 3, 30)), 1e-300, 1e300, 21.0):
        expected = [exp_entry(Fraction(float(step)) * i) for i in range(256)]
        assert exp_table(Fraction(float(step)), 256).tolist() == expected


def test_integers_digit_by_digit() -> None:
    values = [0, 1, 2, 3, 4, *(2**n + d for n in range(2, 62) for d in (-1, 0, 1)), 2**63 - 1]
    assert bit_length(np.array(values)).tolist() == [value.bit_length() for value in values]
    squares = [r * r + d for r in (1, 2, 3, 1000, 2**16, 2**17 - 1, 2**17) for d in (-1, 0, 1)]
    roots = floor_root(np.array(squares), 18).tolist()
    assert all(r * r <= n < (r + 1) ** 2 for r, n in zip(roots, squares, strict=True))
    widths = [row_multiplier_bits(Arithmetic(multiplier_bits=bits)) for bits in (1, 15, 16, 20, 24, 25, 31)]
    assert widths == [16, 16, 16, 20, 24, 24, 24]


def test_row_multipliers_at_ties_and_next_to_powers_of_two() -> None:
    """The largest shift with a multiplier below 2^B, of the sum's upper 31 bits; half a unit goes up."""
    one, half = (1 << 28) - 32, 1 << 30
    totals = [one, 4096 * one, 1 << 33, 3 << 29, (3 << 29) + 1, (1 << 31) - 1, (1 << 34) + 7, (1 << 36) - 1]
    for total in totals:
        length = total.bit_length()
        divisor = total * 2**31 >> length
        ties = [3 * 4096 * odd for odd in (87_383, 100_001, 131_071)]
        around = [divisor + step for step in (-(1 << 13), -1, 0, 1)]
        for reciprocal in (half, 2 * half - 1, *ties, *(min(max(c, half), 2 * half - 1) for c in around)):
            for bits in (16, 24):
                digits = bits - (reciprocal >= divisor)
                exact = Fraction(reciprocal << digits, divisor)
                nearest = min(floor(exact + Fraction(1, 2)), 2**bits - 1)
                assert exact < 2**bits and 2 * exact >= 2**bits
                parameters = replace(PARAMETERS, reciprocal=reciprocal, reciprocal_shift=22)
                found = row_multiplier(np.array([total]), parameters, Arithmetic(multiplier_bits=bits))
                assert [part.item() for part in found] == [nearest, digits + 22 + length - 36]


def test_what_a_mask_hides_does_not_matter() -> None:
    x = codes(1, (3, 4, 12), (-128, 127))
    lengths = np.array([1, 5, 12])
    mask = padding_mask(lengths, 12)[:, None]
    assert mask.shape == (3, 1, 12) and mask.sum(axis=-1).ravel().tolist() == [1, 5, 12]
    y = softmax(x, PARAMETERS, ARITHMETIC, mask)
    for i, length in enumerate(lengths):
        assert_array_equal(y[i, :, :length], softmax(x[i, :, :length], PARAMETERS, ARITHMETIC))
        assert (y[i, :, length:] == -128).all()
    assert_array_equal(softmax(x, PARAMETERS, ARITHMETIC, np.ones((), np.int8)), softmax(x, PARAMETERS, ARITHMETIC))
    shifted = np.clip(x, -100, 100) + np.int8(20)
    assert_array_equal(softmax(shifted, PARAMETERS, ARITHMETIC), softmax(np.clip(x, -100, 100), PARAMETERS, ARITHMETIC))


def test_a_cache_sees_what_the_whole_sequence_sees() -> None:
    assert causal_mask(3, 4).tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0]]
    x = codes(2, (8, 8), (-128, 127))
    whole = softmax(x, PARAMETERS, ARITHMETIC, causal_mask(8, 8))
    for step in range(8):
        token = x[step : step + 1, : step + 1]
        y = softmax(token, PARAMETERS, ARITHMETIC, causal_mask(1, step + 1, past=step))
        assert_array_equal(y[0], whole[step, : step + 1])


def test_a_row_without_elements_that_count_has_no_probability() -> None:
    x = np.array([[100, -100], [3, 4]], np.int8)
    y, clipped = softmax_with_clips(x, PARAMETERS, ARITHMETIC, np.array([[0, 0], [0, 1]]))
    assert y.tolist() == [[-128, -128], [-128, 127]]
    assert clipped.tolist() == [[False, False], [False, True]]
    above = replace(PARAMETERS, zero_point=-20, y_min=-10)
    assert softmax(x, above, ARITHMETIC, np.array([[0], [0]])).tolist() == [[-10, -10], [-10, -10]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": np.zeros((2, 4097), np.int8)}, r"x must have rows of 1 to 4096 codes, not 4097 \(shape \(2, 4097\)\)"),
        ({"x": np.zeros((2, 0), np.int8)}, r"x must have rows of 1 to 4096 codes, not 0"),
        ({"x": np.zeros((), np.int8)}, r"x must have at least one axis, along which its rows lie, not shape \(\)"),
        ({"mask": np.ones((3, 4), np.int8)}, r"mask must have a shape that broadcasts to .* \(2, 4\), not \(3, 4\)"),
        ({"mask": np.ones((2, 2, 4), np.int8)}, r"mask must have a shape .* of x, \(2, 4\), not \(2, 2, 4\)"),
        ({"mask": np.full((2, 4), 2)}, r"mask must be from 0 to 1, not 2 at index \(0, 0\)"),
        ({"arithmetic": Arithmetic(activation_bits=4)}, "x must be from -8 to 7"),
        ({"parameters": make_softmax(0.1, 1 / 16, 0, -8, 7, Arithmetic(activation_bits=4))}, "must have 256 entries"),
        ({"parameters": replace(PARAMETERS, zero_point=200)}, "zero_point must be from -128 to 127, not 200"),
    ],
)
def test_bad_values(arguments: dict[str, Any], message: str) -> None:
    good = {"x": np.full((2, 4), 100, np.int8), "parameters": PARAMETERS, "arithmetic": ARITHMETIC}
    with pytest.raises(ValueError, match=message):
        softmax(**(good | arguments))


def test_bad_types() -> None:
    x = np.zeros((2, 4), np.int8)
    with pytest.raises(TypeError, match="x must be an int8 array, not float64 array"):
        softmax(x.astype(np.float64), PARAMETERS, ARITHMETIC)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="parameters must be a SoftmaxParameters, not 3"):
        softmax(x, 3, ARITHMETIC)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="mask must be an integer or an array of integers, not float64 array"):
        softmax(x, PARAMETERS, ARITHMETIC, np.ones(4))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y_scale": 1.5}, "y_scale must be from 2^−20 to 1, as probabilities are at most 1, not 1.5"),
        ({"y_scale": 2.0**-21}, "y_scale must be from 2^−20 to 1"),
        ({"x_scale": 0.0}, "x_scale must be positive finite float32, not "),
        ({"beta": -1.0}, "beta must be a positive finite number, not -1.0"),
        ({"beta": float("nan")}, "beta must be a positive finite number, not nan"),
        ({"y_min": 5, "y_max": 4}, "y_min must be at most y_max"),
        ({"zero_point": -129}, "zero_point must be from -128 to 127, not -129"),
    ],
)
def test_bad_scales(arguments: dict[str, Any], message: str) -> None:
    good = {"x_scale": 0.1, "y_scale": 1 / 256, "zero_point": 0, "y_min": -128, "y_max": 127, "arithmetic": ARITHMETIC}
    with pytest.raises(ValueError, match=message.replace("^", r"\^")):
        make_softmax(**(good | arguments))


def test_bad_parameters_and_masks() -> None:
    rising = PARAMETERS.table[::-1].copy()
    for fields, message in (
        ({"table": rising}, "table must begin with 268435424 and never rise"),
        ({"table": PARAMETERS.table[:100]}, "table must have 4 to 256 entries, one for each difference of codes"),
        ({"reciprocal": 1 << 31}, "reciprocal must be from 1073741824 to 2147483647, not 2147483648"),
        ({"reciprocal_shift": 31}, "reciprocal_shift must be from 10 to 30, not 31"),
    ):
        with pytest.raises(ValueError, match=message):
            replace(PARAMETERS, **fields)
    assert isinstance(PARAMETERS, SoftmaxParameters)
    with pytest.raises(ValueError, match="keys must be from 1 to 4096, not 4097"):
        causal_mask(1, 4097)
    with pytest.raises(ValueError, match="lengths must be from 0 to 8, not 9 at index 1"):
        padding_mask([3, 9], 8)
