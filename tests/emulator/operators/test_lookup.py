"""Lookup tables and the functions to make them from."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from emulator import FUNCTIONS, Arithmetic, lookup, make_table
from tests import oracle
from tests.emulator.strategies import edge_integers, few


@few
@given(st.data(), st.sampled_from(sorted(FUNCTIONS)), st.integers(2, 8))
def test_oracle(data: st.DataObject, name: str, bits: int) -> None:
    arithmetic = Arithmetic(activation_bits=bits)
    low, high = arithmetic.activation_range
    sx, sy = data.draw(st.floats(2.0**-20, 4.0, width=32)), data.draw(st.floats(2.0**-20, 4.0, width=32))
    zx, zy = data.draw(edge_integers(low, high)), data.draw(edge_integers(low, high))
    y_min, y_max = sorted(data.draw(st.tuples(edge_integers(low, high), edge_integers(low, high))))
    table = make_table(FUNCTIONS[name], sx, zx, sy, zy, y_min, y_max, arithmetic)
    assert table.dtype == np.int8
    assert_array_equal(table, oracle.table(FUNCTIONS[name], sx, zx, sy, zy, y_min, y_max, bits))
    codes = np.arange(low, high + 1, dtype=np.int8)
    assert_array_equal(lookup(codes, table, arithmetic), table)
    assert_array_equal(lookup(codes[::-1].reshape(2, -1), table, arithmetic).ravel(), table[::-1])


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_functions_are_finite_far_out_and_right_at_one(name: str) -> None:
    at_one = {
        "sigmoid": 1 / (1 + math.exp(-1)),
        "tanh": math.tanh(1),
        "relu": 1.0,
        "gelu": 0.5 * (1 + math.erf(2**-0.5)),
        "gelu_tanh": 0.5 * (1 + math.tanh(math.sqrt(2 / math.pi) * 1.044715)),
        "silu": 1 / (1 + math.exp(-1)),
        "hard_sigmoid": 2 / 3,
        "hard_swish": 2 / 3,
        "softplus": math.log(1 + math.e),
        "elu": 1.0,
        "mish": math.tanh(math.log(1 + math.e)),
    }
    function = FUNCTIONS[name]
    assert math.isclose(function(1.0), at_one[name], rel_tol=1e-15)
    assert all(math.isfinite(function(x)) for x in (-1e30, -800.0, -0.0, 800.0, 1e30))


def test_infinities_clamp_and_nan_is_an_error() -> None:
    arithmetic = Arithmetic(activation_bits=2)
    table = make_table(lambda x: math.inf * x if x else 0.0, 1.0, 0, 1.0, 0, -2, 1, arithmetic)
    assert_array_equal(table, [-2, -2, 0, 1])
    with pytest.raises(ValueError, match=r"function must not be NaN, as it is for code -1 \(-0.5\)"):
        make_table(lambda x: math.nan if x == -0.5 else x, 0.5, 0, 1.0, 0, -2, 1, arithmetic)


def test_errors() -> None:
    arithmetic = Arithmetic(activation_bits=3)
    x = np.zeros(2, np.int8)
    with pytest.raises(ValueError, match="table must have 8 entries, one per code, not 4"):
        lookup(x, np.zeros(4, np.int8), arithmetic)
    with pytest.raises(ValueError, match="table must be from -4 to 3, not 4 at index 7"):
        lookup(x, np.arange(-3, 5, dtype=np.int8), arithmetic)
    with pytest.raises(TypeError, match="table must be an int8 array"):
        lookup(x, np.zeros(8), arithmetic)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="x must be from -4 to 3, not 9"):
        lookup(x + np.int8(9), np.zeros(8, np.int8), arithmetic)
    with pytest.raises(TypeError, match="function must be callable, not 'tanh'"):
        make_table("tanh", 1.0, 0, 1.0, 0, -4, 3, arithmetic)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="x_scale must be positive finite float32"):
        make_table(math.tanh, 0.0, 0, 1.0, 0, -4, 3, arithmetic)
    with pytest.raises(ValueError, match="y_max must be from -4 to 3, not 5"):
        make_table(math.tanh, 1.0, 0, 1.0, 0, -4, 5, arithmetic)
