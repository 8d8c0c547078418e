"""Average pool: exact sums, then requantization per position."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from emulator import Arithmetic, average_pool, average_pool_scales, average_pool_sum, quantize_multiplier
from tests import oracle
from tests.emulator.strategies import arithmetics, codes, edge_integers, few, seeds


@few
@given(st.data(), arithmetics(), seeds, st.booleans())
def test_oracle(data: st.DataObject, arithmetic: Arithmetic, seed: int, count_padding: bool) -> None:
    draw = data.draw
    kernel = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    strides = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    padding = draw(st.tuples(*[st.integers(0, kernel[axis % 2] - 1) for axis in range(4)]))
    dilations = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    size = tuple((k - 1) * d + 1 + draw(st.integers(0, 3)) for k, d in zip(kernel, dilations, strict=True))
    low, high = arithmetic.activation_range
    x = codes(seed, (2, *size, 3), (low, high))
    zx, zero = draw(edge_integers(low, high)), draw(edge_integers(low, high))
    total = average_pool_sum(x, kernel, strides, padding, dilations, x_zero_point=zx, arithmetic=arithmetic)
    expected = [
        oracle.pool(image, lambda taps: sum(code - zx for code in taps), kernel, strides, padding, dilations)
        for image in x.tolist()
    ]
    assert total.dtype == np.int64
    assert_array_equal(total, expected)

    counts = np.array(oracle.pool(np.zeros((*size, 1), int).tolist(), len, kernel, strides, padding, dilations))[
        :, :, 0
    ]
    if count_padding:
        counts = np.full_like(counts, kernel[0] * kernel[1])
    sx, sy = float(np.float32(0.7)), float(np.float32(0.43))
    scales = average_pool_scales(sx, sy, size, kernel, strides, padding, dilations, count_padding=count_padding)
    assert_array_equal(scales, sx / (sy * counts))
    if arithmetic.multiplier_bits == 1:
        scales = scales / 2
    multiplier, shift = quantize_multiplier(scales, arithmetic)
    result = average_pool(
        x,
        kernel,
        strides,
        padding,
        dilations,
        x_zero_point=zx,
        multiplier=multiplier,
        shift=shift,
        zero_point=zero,
        y_min=low,
        y_max=high,
        arithmetic=arithmetic,
    )
    for index in np.ndindex(*result.shape):
        place = index[1:3]
        assert (
            result[index]
            == oracle.requantize(
                int(total[index]),
                int(multiplier[place]),
                int(shift[place]),
                zero,
                low,
                high,
                arithmetic.rounding,
                multiplier_bits=arithmetic.multiplier_bits,
            )[0]
        )


def test_one_multiplier_for_all_positions() -> None:
    x = codes(1, (1, 4, 4, 2), (-128, 127))
    options: dict[str, Any] = {
        "x_zero_point": -128,
        "zero_point": -128,
        "y_min": -128,
        "y_max": 127,
        "arithmetic": Arithmetic(),
    }
    one = average_pool(x, (2, 2), (2, 2), multiplier=1, shift=2, **options)
    each = average_pool(x, (2, 2), (2, 2), multiplier=np.ones((2, 2), int), shift=np.full((2, 2), 2), **options)
    assert_array_equal(one, each)


def test_errors() -> None:
    x = np.zeros((1, 200, 200, 1), np.int8)
    with pytest.raises(ValueError, match=r"kernel must keep sums of its window in 24 bits, not be \(200, 200\)"):
        average_pool_sum(x, (200, 200), (1, 1), x_zero_point=-128, arithmetic=Arithmetic(accumulator_bits=12))
    average_pool_sum(x, (200, 200), (1, 1), x_zero_point=-128, arithmetic=Arithmetic(accumulator_bits=25))
    options: dict[str, Any] = {"x_zero_point": 0, "zero_point": 0, "y_min": 0, "y_max": 1, "arithmetic": Arithmetic()}
    with pytest.raises(
        ValueError, match=r"shift must be a number or have shape \(100, 100\), one per position, not \(3,\)"
    ):
        average_pool(x, (2, 2), (2, 2), multiplier=1, shift=[1, 2, 3], **options)
    with pytest.raises(ValueError, match="y_scale must be positive finite float32"):
        average_pool_scales(1.0, 0.0, (4, 4), (2, 2), (2, 2))
    with pytest.raises(ValueError, match="padding must leave every window a position on the map"):
        average_pool_scales(1.0, 1.0, (4, 4), (1, 1), (1, 1), (1, 0, 0, 0))
