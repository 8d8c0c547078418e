"""The rescaled adder and its subtraction."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from emulator import Arithmetic, quantize_rescaled_adder, rescaled_add, rescaled_subtract
from emulator.operators.rescaled_add import rescaled_add_with_clips
from tests import oracle
from tests.emulator.strategies import arithmetics, codes, edge_integers, many, seeds, vectors

FACTORS = ("a_multiplier", "a_shift", "b_multiplier", "b_shift", "multiplier", "shift")


def test_vectors() -> None:
    cases = vectors("add_rescaled")
    assert len(cases) == 600
    for case in cases:
        arguments = {key: value for key, value in case.items() if not key.endswith("_scale") and key not in "aby"}
        a, b = np.array([case["a"]], np.int8), np.array([case["b"]], np.int8)
        result = rescaled_add(a=a, b=b, arithmetic=Arithmetic.tflm(), **arguments)
        assert result.dtype == np.int8 and result[0] == case["y"], case


@many
@given(st.data(), arithmetics(), seeds)
def test_oracle(data: st.DataObject, arithmetic: Arithmetic, seed: int) -> None:
    low, high = arithmetic.activation_range
    a, b = codes(seed, (2, 3), (low, high)), codes(seed + 1, (1, 3), (low, high))
    za, zb, zero = (data.draw(edge_integers(low, high)) for _ in range(3))
    largest = 2**arithmetic.multiplier_bits - 1
    factors = []
    for _ in range(2):
        shift = data.draw(edge_integers(0, 62))
        factors.append((data.draw(edge_integers(0, min(largest, 2**shift // 2))), shift))
    multiplier, shift = data.draw(edge_integers(0, largest)), data.draw(edge_integers(0, 62))
    y_min, y_max = sorted(data.draw(st.tuples(edge_integers(low, high), edge_integers(low, high))))
    rounding = arithmetic.rounding, arithmetic.multiplier_bits
    for negate in (False, True):
        sums = (a, za, *factors[0], b, zb, *factors[1], multiplier, shift, zero, y_min, y_max, arithmetic)
        result, clipped = rescaled_add_with_clips(*sums, negate_b=negate)
        assert_array_equal((rescaled_subtract if negate else rescaled_add)(*sums), result)
        for index in np.ndindex(2, 3):
            first = oracle.rescaled_operand(int(a[index]), za, *factors[0], *rounding)
            second = oracle.rescaled_operand(int(b[0, index[1]]), zb, *factors[1], *rounding)
            total = first - second if negate else first + second
            expected = oracle.requantize(
                total, multiplier, shift, zero, y_min, y_max, rounding[0], arithmetic.activation_bits, rounding[1]
            )
            assert (result[index], clipped[index]) == expected


def test_every_pair_of_codes_is_near_the_real_sum() -> None:
    """The three roundings move a sum by less than a hundredth of a code."""
    a, b = (side.astype(np.int8) for side in np.meshgrid(np.arange(-128, 128), np.arange(-128, 128)))
    sa, sb, sy = (float(np.float32(s)) for s in (0.031, 0.0007, 0.04))
    factors = quantize_rescaled_adder(sa, sb, sy, Arithmetic.tflm())
    result = rescaled_add(a, 5, *factors[:2], b, -7, *factors[2:], 3, -128, 127, Arithmetic.tflm())
    real = ((a.astype(float) - 5) * sa + (b.astype(float) + 7) * sb) / sy + 3
    assert (np.abs(result - real)[np.abs(real) < 127] < 0.51).all()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"a": np.zeros(2, np.int16)}, TypeError, "a must be an int8 array"),
        ({"b": np.full(2, 9, np.int8)}, ValueError, "b must be from -8 to 7, not 9 at index 0"),
        ({"b": np.zeros(3, np.int8)}, ValueError, r"b must have a shape that broadcasts with \(2,\), not \(3,\)"),
        ({"a_zero_point": 8}, ValueError, "a_zero_point must be from -8 to 7, not 8"),
        ({"a_multiplier": 16}, ValueError, "a_multiplier must be from 0 to 15, not 16"),
        ({"b_multiplier": 9}, ValueError, r"b_multiplier must be at most 2\^\(b_shift − 1\) = 2\^3, not 9"),
        ({"b_shift": 63}, ValueError, "b_shift must be from 0 to 62, not 63"),
        ({"multiplier": 16}, ValueError, "multiplier must be from 0 to 15, not 16"),
        ({"shift": -1}, ValueError, "shift must be from 0 to 62, not -1"),
        ({"y_max": 8}, ValueError, "y_max must be from -8 to 7, not 8"),
        ({"arithmetic": None}, TypeError, "arithmetic must be an Arithmetic, not None"),
    ],
)
def test_errors(change: dict[str, Any], error: type[Exception], message: str) -> None:
    operands = {"a": np.zeros(2, np.int8), "b": np.zeros(2, np.int8)}
    arguments: dict[str, Any] = operands | dict.fromkeys(("a_zero_point", "b_zero_point", "zero_point"), 0)
    arguments |= dict.fromkeys(FACTORS, 4) | {"y_min": -8, "y_max": 7}
    arguments["arithmetic"] = Arithmetic(activation_bits=4, multiplier_bits=4)
    with pytest.raises(error, match=message):
        rescaled_add(**(arguments | change))
