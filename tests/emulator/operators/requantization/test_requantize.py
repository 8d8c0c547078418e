"""`requantize` and the rounding under it."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from emulator import Arithmetic, requantize
from emulator.arithmetic import ROUNDINGS
from emulator.operators.requantization.requantize import requantize_unchecked, requantize_with_clips
from emulator.operators.requantization.rounding import round_shift, rounding_terms
from tests import oracle
from tests.emulator.fast import use_always, use_never
from tests.emulator.strategies import arithmetics, edge_integers, many, vectors


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize(
    ("name", "count"), [("requantize", 2500), ("requantize_double", 1200), ("requantize_near_ties", 4236)]
)
def test_vectors(name: str, count: int, compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    (use_always if compiled else use_never)(monkeypatch)
    cases = vectors(name)
    assert len(cases) == count
    for case in cases:
        arithmetic = Arithmetic(
            accumulator_bits=case["accumulator_bits"],
            multiplier_bits=case["multiplier_bits"],
            rounding=case["rounding"],
        )
        y = requantize(
            [case["acc"]],
            case["multiplier"],
            case["shift"],
            case["zero_point"],
            case["y_min"],
            case["y_max"],
            arithmetic,
        )
        assert y.dtype == np.int8 and y.tolist() == [case["y"]], case


@many
@given(st.data(), arithmetics())
def test_oracle_for_every_bit_pattern(data: st.DataObject, arithmetic: Arithmetic) -> None:
    half = 1 << (arithmetic.operand_bits - 1)
    low, high = arithmetic.activation_range
    count = 6
    draw = data.draw
    acc = draw(st.lists(edge_integers(-half, half - 1), min_size=count, max_size=count))
    multiplier = draw(st.lists(edge_integers(0, 2**arithmetic.multiplier_bits - 1), min_size=count, max_size=count))
    shift = draw(st.lists(edge_integers(0, 63), min_size=count, max_size=count))
    zero = draw(edge_integers(low, high))
    y_min, y_max = sorted(draw(st.tuples(edge_integers(low, high), edge_integers(low, high))))
    expected = [
        oracle.requantize(
            a, m, s, zero, y_min, y_max, arithmetic.rounding, arithmetic.activation_bits, arithmetic.multiplier_bits
        )
        for a, m, s in zip(acc, multiplier, shift, strict=True)
    ]
    arrays = np.array(acc), np.array(multiplier), np.array(shift)
    codes, clipped = requantize_unchecked(*arrays, zero, y_min, y_max, arithmetic)
    assert_array_equal(codes, [code for code, _ in expected])
    assert_array_equal(clipped, [clip for _, clip in expected])
    legal = arrays[2] <= 62
    some = [array[legal] for array in arrays]
    checked = requantize_with_clips(some[0], some[1], some[2], zero, y_min, y_max, arithmetic)
    assert_array_equal(checked[0], codes[legal])
    assert_array_equal(checked[1], clipped[legal])


@pytest.mark.parametrize("multiplier_bits", [1, 2, 4, 31])
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_round_shift_around_ties(rounding: str, multiplier_bits: int) -> None:
    for shift in (0, 1, 2, 5, 31, 62, 63):
        around = [
            q * 2**shift + r
            for q in (-3, -2, -1, 0, 1, 2)
            for tie in (2**shift // 2, 2**shift // 2 - 2**multiplier_bits // 2, 2**shift // 2 + 2**multiplier_bits // 2)
            for r in (0, 1, tie - 1, tie, tie + 1, 2**shift - 1)
        ]
        values = [value for value in around if abs(value) <= 2**62]
        expected = [oracle.divide(value, shift, rounding, multiplier_bits) for value in values]
        assert_array_equal(round_shift(np.array(values), shift, rounding, multiplier_bits), expected)
        if shift <= 62:
            base, even, negative = (int(term) for term in rounding_terms(np.asarray(shift), rounding, multiplier_bits))
            offsets = [base + (v >> shift & even) + (negative if v < 0 else 0) for v in values]
            assert all(abs(v + offset) < 2**63 for v, offset in zip(values, offsets, strict=True))
            assert [(v + offset) >> shift for v, offset in zip(values, offsets, strict=True)] == expected


@pytest.mark.parametrize(
    ("rounding", "rounded"),
    [
        ("half_even", [-4, -2, -2, 0, 0, 2, 2, 4]),
        ("half_up", [-3, -2, -1, 0, 1, 2, 3, 4]),
        ("half_away", [-4, -3, -2, -1, 1, 2, 3, 4]),
        ("floor", [-4, -3, -2, -1, 0, 1, 2, 3]),
        ("toward_zero", [-3, -2, -1, 0, 0, 1, 2, 3]),
    ],
)
def test_ties(rounding: str, rounded: list[int]) -> None:
    acc = np.array([-7, -5, -3, -1, 1, 3, 5, 7])
    assert_array_equal(requantize(acc, 1, 1, 0, -128, 127, Arithmetic(rounding=rounding)), rounded)


def test_tflite_example_rounds_once() -> None:
    """x = 7984, M = 1583594044, exponent −9: the exact value is 11.4991, TFLite's double rounding gives 12."""
    arithmetic = Arithmetic(multiplier_bits=31, rounding="half_up")
    assert requantize(7984, 1583594044, 40, 0, -128, 127, arithmetic) == 11
    assert float(Fraction(7984 * 1583594044, 2**40)) == pytest.approx(11.4991, abs=1e-4)


def test_tflite_example_rounds_twice() -> None:
    arithmetic = Arithmetic(multiplier_bits=31, rounding="double")
    assert requantize(7984, 1583594044, 40, 0, -128, 127, arithmetic) == 12


def test_zero_point_is_added_after_rounding() -> None:
    """torch.quantize_per_tensor adds first: 2.5 + 1 = 3.5 would become 4; here round(2.5) + 1 = 3."""
    assert requantize(5, 1, 1, 1, -128, 127, Arithmetic()) == 3


@pytest.mark.parametrize("compiled", [True, False])
def test_per_channel_on_the_last_axis(compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    (use_always if compiled else use_never)(monkeypatch)
    acc = np.arange(24).reshape(2, 3, 4)
    y = requantize(acc, [1, 2, 3, 4], [0, 1, 2, 3], 0, -128, 127, Arithmetic(rounding="floor"))
    assert_array_equal(y, (acc * [1, 2, 3, 4]) >> np.array([0, 1, 2, 3]))


def test_a_relu_s_clamp_is_no_clip() -> None:
    arithmetic = Arithmetic(activation_bits=4)
    codes, clipped = requantize_with_clips([-9, -8, -1, 5, 7, 8], 1, 0, 0, 0, 5, arithmetic)
    assert_array_equal(codes, [0, 0, 0, 5, 5, 5])
    assert_array_equal(clipped, [True, False, False, False, False, True])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"acc": 2**23}, ValueError, "acc must be from -8388608 to 8388607, not 8388608"),
        ({"acc": np.array([0, -(2**23) - 1])}, ValueError, "acc must be from .* not -8388609 at index 1"),
        ({"acc": 1.0}, TypeError, "acc must be an integer or an array of integers, not 1.0"),
        ({"multiplier": 2**24}, ValueError, "multiplier must be from 0 to 16777215, not 16777216"),
        ({"multiplier": -1}, ValueError, "multiplier must be from 0 to 16777215, not -1"),
        ({"shift": 63}, ValueError, "shift must be from 0 to 62, not 63"),
        ({"shift": -1}, ValueError, "shift must be from 0 to 62, not -1"),
        ({"zero_point": 128}, ValueError, "zero_point must be from -128 to 127, not 128"),
        ({"zero_point": 0.5}, TypeError, "zero_point must be an integer"),
        ({"y_min": -129}, ValueError, "y_min must be from -128 to 127, not -129"),
        ({"y_max": 128}, ValueError, "y_max must be from -128 to 127, not 128"),
        ({"y_min": 3, "y_max": 2}, ValueError, "y_min must be at most y_max, not 3 with y_max 2"),
        ({"arithmetic": None}, TypeError, "arithmetic must be an Arithmetic, not None"),
        (
            {"acc": np.zeros((2, 3), np.int64), "shift": [1, 2]},
            ValueError,
            r"shift must have a shape that broadcasts with \(2, 3\), not \(2,\)",
        ),
    ],
)
def test_errors(change: dict[str, object], error: type[Exception], message: str) -> None:
    arguments = {"acc": 0, "multiplier": 1, "shift": 0, "zero_point": 0, "y_min": -128, "y_max": 127}
    with pytest.raises(error, match=message):
        requantize(**({**arguments, "arithmetic": Arithmetic(accumulator_bits=20)} | change))  # type: ignore[arg-type]
