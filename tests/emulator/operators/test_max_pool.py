"""Max pool."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from emulator import Arithmetic, max_pool
from tests import oracle
from tests.emulator.strategies import codes, few, seeds


@few
@given(st.data(), seeds)
def test_oracle(data: st.DataObject, seed: int) -> None:
    draw = data.draw
    kernel = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    strides = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    dilations = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    padding = draw(st.tuples(*[st.integers(0, kernel[axis % 2] - 1) for axis in range(4)]))
    size = tuple((k - 1) * d + 1 + draw(st.integers(0, 3)) for k, d in zip(kernel, dilations, strict=True))
    x = codes(seed, (2, *size, 3), (-128, -100))
    result = max_pool(x, kernel, strides, padding, dilations)
    expected = [oracle.pool(image, max, kernel, strides, padding, dilations) for image in x.tolist()]
    assert result.dtype == np.int8
    assert_array_equal(result, expected)


def test_padding_never_wins() -> None:
    x = np.full((1, 2, 2, 1), -128, np.int8)
    assert_array_equal(max_pool(x, (2, 2), (2, 2), (1, 1, 1, 1)), np.full((1, 2, 2, 1), -128))


def test_errors() -> None:
    x = np.zeros((1, 2, 2, 1), np.int8)
    with pytest.raises(ValueError, match="padding must leave every window a position on the map"):
        max_pool(x, (1, 1), (1, 1), (1, 0, 0, 0))
    with pytest.raises(ValueError, match="kernel must fit the padded map of 2×2, not cover 3×1"):
        max_pool(x, (3, 1), (1, 1))
    with pytest.raises(ValueError, match="x must be from -2 to 1, not 5"):
        max_pool(x + np.int8(5), (1, 1), (1, 1), arithmetic=Arithmetic(activation_bits=2))
    with pytest.raises(ValueError, match="x must have 4 axes"):
        max_pool(x[0], (1, 1), (1, 1))
    with pytest.raises(TypeError, match=r"kernel\[0\] must be an integer, not 1.5"):
        max_pool(x, (1.5, 1), (1, 1))  # type: ignore[arg-type]
