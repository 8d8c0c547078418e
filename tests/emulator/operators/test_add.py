"""The residual adder and its subtraction."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from emulator import Arithmetic, add, subtract
from emulator.operators.add import add_with_clips
from tests import oracle
from tests.emulator.fast import use_always, use_never
from tests.emulator.strategies import arithmetics, codes, edge_integers, many, seeds, vectors


@pytest.mark.parametrize("compiled", [True, False])
def test_vectors(compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    (use_always if compiled else use_never)(monkeypatch)
    cases = vectors("add")
    assert len(cases) == 500
    for case in cases:
        arguments: dict[str, Any] = {
            key: value for key, value in case.items() if key not in ("rounding", "y", "a", "b")
        }
        a, b = np.array([case["a"]], np.int8), np.array([case["b"]], np.int8)
        result = add(a=a, b=b, arithmetic=Arithmetic(rounding=case["rounding"]), **arguments)
        assert result.dtype == np.int8 and result[0] == case["y"], case


@many
@given(st.data(), arithmetics(), seeds)
def test_oracle(data: st.DataObject, arithmetic: Arithmetic, seed: int) -> None:
    low, high = arithmetic.activation_range
    a, b = codes(seed, (2, 3), (low, high)), codes(seed + 1, (2, 3), (low, high))
    za, zb, zero = (data.draw(edge_integers(low, high)) for _ in range(3))
    largest = 2**arithmetic.adder_multiplier_bits - 1
    ma, mb = data.draw(edge_integers(0, largest)), data.draw(edge_integers(0, largest))
    shift = data.draw(edge_integers(0, 62))
    y_min, y_max = sorted(data.draw(st.tuples(edge_integers(low, high), edge_integers(low, high))))
    for function, sign in ((add, 1), (subtract, -1)):
        arguments = a, za, ma, b, zb, mb, shift, zero, y_min, y_max, arithmetic
        result = function(*arguments)
        with pytest.MonkeyPatch.context() as monkeypatch:
            use_always(monkeypatch)
            assert_array_equal(function(*arguments), result)
        expected = [
            oracle.add(
                int(i),
                za,
                ma,
                int(j),
                zb,
                sign * mb,
                shift,
                zero,
                y_min,
                y_max,
                arithmetic.rounding,
                arithmetic.multiplier_bits,
            )
            for i, j in zip(a.flat, b.flat, strict=True)
        ]
        assert_array_equal(result.ravel(), expected)


def test_clips() -> None:
    a = np.array([100, 100, -100, 1], np.int8)
    b = np.array([100, 27, -29, 1], np.int8)
    result, clipped = add_with_clips(a, 0, 1, b, 0, 1, 0, 0, 0, 100, Arithmetic())
    assert_array_equal(result, [100, 100, 0, 2])
    assert_array_equal(clipped, [True, False, True, False])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"a": np.zeros(2, np.int16)}, TypeError, "a must be an int8 array"),
        ({"b": np.full(2, 9, np.int8)}, ValueError, "b must be from -8 to 7, not 9 at index 0"),
        ({"b": np.zeros(3, np.int8)}, ValueError, r"b must have a shape that broadcasts with \(2,\), not \(3,\)"),
        ({"a_zero_point": 8}, ValueError, "a_zero_point must be from -8 to 7, not 8"),
        ({"b_zero_point": -9}, ValueError, "b_zero_point must be from -8 to 7, not -9"),
        ({"a_multiplier": 2**16}, ValueError, "a_multiplier must be from 0 to 65535, not 65536"),
        ({"b_multiplier": -1}, ValueError, "b_multiplier must be from 0 to 65535, not -1"),
        ({"shift": 63}, ValueError, "shift must be from 0 to 62, not 63"),
        ({"y_max": 8}, ValueError, "y_max must be from -8 to 7, not 8"),
    ],
)
def test_errors(change: dict[str, Any], error: type[Exception], message: str) -> None:
    arguments: dict[str, Any] = {
        "a": np.zeros(2, np.int8),
        "a_zero_point": 0,
        "a_multiplier": 1,
        "b": np.zeros(2, np.int8),
        "b_zero_point": 0,
        "b_multiplier": 1,
        "shift": 0,
        "zero_point": 0,
        "y_min": -8,
        "y_max": 7,
        "arithmetic": Arithmetic(activation_bits=4, multiplier_bits=4),
    }
    with pytest.raises(error, match=message):
        add(**(arguments | change))
