"""The elementwise product."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from emulator import Arithmetic, product
from tests import oracle
from tests.emulator.strategies import arithmetics, codes, edge_integers, few, seeds


@few
@given(st.data(), arithmetics(), seeds)
def test_oracle(data: st.DataObject, arithmetic: Arithmetic, seed: int) -> None:
    low, high = arithmetic.activation_range
    a, b = codes(seed, (3, 2, 4), (low, high)), codes(seed + 1, (4,), (low, high))
    za, zb, zero = (data.draw(edge_integers(low, high)) for _ in range(3))
    multiplier = data.draw(edge_integers(0, 2**arithmetic.multiplier_bits - 1))
    shift = data.draw(edge_integers(0, 62))
    y_min, y_max = sorted(data.draw(st.tuples(edge_integers(low, high), edge_integers(low, high))))
    result = product(a, za, b, zb, multiplier, shift, zero, y_min, y_max, arithmetic)
    rounding = arithmetic.rounding, arithmetic.activation_bits, arithmetic.multiplier_bits
    expected = [
        oracle.requantize((i - za) * (j - zb), multiplier, shift, zero, y_min, y_max, *rounding)[0]
        for i, j in zip(a.ravel().tolist(), np.broadcast_to(b, a.shape).ravel().tolist(), strict=True)
    ]
    assert result.dtype == np.int8
    assert_array_equal(result.ravel(), expected)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"a": [1]}, TypeError, "a must be an int8 array, not list"),
        ({"b": np.zeros(3, np.int8)}, ValueError, r"b must have a shape that broadcasts with \(2,\), not \(3,\)"),
        ({"b_zero_point": 128}, ValueError, "b_zero_point must be from -128 to 127, not 128"),
        ({"multiplier": 2**24}, ValueError, "multiplier must be from 0 to 16777215"),
    ],
)
def test_errors(change: dict[str, Any], error: type[Exception], message: str) -> None:
    arguments: dict[str, Any] = {
        "a": np.zeros(2, np.int8),
        "a_zero_point": 0,
        "b": np.zeros(2, np.int8),
        "b_zero_point": 0,
        "multiplier": 1,
        "shift": 0,
        "zero_point": 0,
        "y_min": -8,
        "y_max": 7,
        "arithmetic": Arithmetic(),
    }
    with pytest.raises(error, match=message):
        product(**(arguments | change))
