"""Rescaling of codes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from emulator import Arithmetic, rescale
from tests import oracle
from tests.emulator.strategies import arithmetics, codes, edge_integers, few, seeds


@few
@given(st.data(), arithmetics(), seeds)
def test_oracle(data: st.DataObject, arithmetic: Arithmetic, seed: int) -> None:
    low, high = arithmetic.activation_range
    x = codes(seed, (2, 5), (low, high))
    zx, zero = data.draw(edge_integers(low, high)), data.draw(edge_integers(low, high))
    multiplier = data.draw(edge_integers(0, 2**arithmetic.multiplier_bits - 1))
    shift = data.draw(edge_integers(0, 62))
    result = rescale(x, zx, multiplier, shift, zero, low, high, arithmetic)
    rounding = arithmetic.rounding, arithmetic.activation_bits, arithmetic.multiplier_bits
    expected = [
        oracle.requantize(code - zx, multiplier, shift, zero, low, high, *rounding)[0] for code in x.ravel().tolist()
    ]
    assert_array_equal(result.ravel(), expected)


def test_errors() -> None:
    with pytest.raises(TypeError, match="x must be an int8 array, not float64 array"):
        rescale(np.zeros(3), 0, 1, 0, 0, -128, 127, Arithmetic())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="x_zero_point must be from -2 to 1, not 2"):
        rescale(np.zeros(3, np.int8), 2, 1, 0, 0, -2, 1, Arithmetic(activation_bits=2))
