"""`convolve` against the oracle, for every kernel, stride, padding, dilation and group."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from emulator import Arithmetic, accumulate, convolve
from tests import oracle
from tests.emulator.fast import use_always
from tests.emulator.strategies import arithmetics, codes, edge_integers, many, seeds


@many
@given(st.data(), seeds, st.booleans())
def test_oracle(data: st.DataObject, seed: int, narrow: bool) -> None:
    draw = data.draw
    arithmetic = draw(arithmetics(narrow))
    groups, depth, per_group = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 2))
    kernel = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    strides = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    dilations = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    padding = draw(st.tuples(*[st.integers(0, 2)] * 4))
    size = tuple(
        draw(st.integers(max(1, (k - 1) * d + 1 - p - q), 6))
        for k, d, p, q in zip(kernel, dilations, padding[:2], padding[2:], strict=True)
    )
    batch = draw(st.integers(1, 2))
    x = codes(seed, (batch, *size, groups * depth), arithmetic.activation_range)
    weight = codes(seed + 1, (groups * per_group, *kernel, depth), arithmetic.weight_range)
    count = groups * per_group
    bias = draw(st.lists(edge_integers(*arithmetic.bias_range), min_size=count, max_size=count))
    zero = draw(edge_integers(*arithmetic.activation_range))
    w_zeros = draw(st.lists(edge_integers(*arithmetic.weight_range), min_size=count, max_size=count))
    geometry = (strides, padding, dilations, groups, w_zeros if draw(st.booleans()) else [0] * count)
    expected = [
        oracle.convolve(image, weight.tolist(), bias, zero, arithmetic.accumulator_bits, arithmetic.overflow, *geometry)
        for image in x.tolist()
    ]
    cells = np.array(expected, object)
    for compiled in (True, False):
        with pytest.MonkeyPatch.context() as monkeypatch:
            use_always(monkeypatch)
            acc, overflowed = convolve(x, weight, bias, arithmetic, zero, *geometry, compiled=compiled)
        assert_array_equal(acc, cells[..., 0].astype(np.int64))
        assert_array_equal(overflowed, cells[..., 1].astype(bool))


def test_whole_map_kernel_is_the_linear_layer_of_its_nhwc_flatten() -> None:
    arithmetic = Arithmetic(accumulator_bits=14)
    x, weight = codes(5, (4, 3, 5, 7), (-128, 127)), codes(6, (9, 3, 5, 7), (-128, 127))
    bias = np.arange(9) * 300 - 1000
    acc, overflowed = convolve(x, weight, bias, arithmetic, -128)
    flat = accumulate(x.reshape(4, -1), np.ascontiguousarray(weight.reshape(9, -1).T), bias, arithmetic, -128)
    assert overflowed.any()
    assert_array_equal(acc[:, 0, 0], flat[0])
    assert_array_equal(overflowed[:, 0, 0], flat[1])


@pytest.mark.parametrize("limit", [1, 700, 5000])
def test_blocks_give_the_same(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x, weight = codes(7, (3, 9, 8, 4), (-128, 127)), codes(8, (6, 3, 2, 2), (-128, 127))
    arguments: tuple[Any, ...] = (
        x,
        weight,
        np.zeros(6, np.int64),
        Arithmetic(accumulator_bits=15),
        5,
        (2, 1),
        (1, 0, 2, 1),
        (1, 1),
        2,
    )
    whole = convolve(*arguments)
    monkeypatch.setattr(sys.modules["emulator.operators.convolve"], "BLOCK_BYTES", limit)
    for part, all_at_once in zip(convolve(*arguments), whole, strict=True):
        assert_array_equal(part, all_at_once)


def test_depthwise_with_many_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    use_always(monkeypatch)
    x, weight = codes(9, (2, 7, 6, 130), (-128, 127)), codes(10, (130, 3, 3, 1), (-128, 127))
    bias = np.random.default_rng(11).integers(-2000, 2000, 130)
    arithmetic = Arithmetic(accumulator_bits=16)
    whole = convolve(x, weight, bias, arithmetic, 3, (1, 2), (1, 1, 1, 1), (1, 1), 130)
    plain = convolve(x, weight, bias, arithmetic, 3, (1, 2), (1, 1, 1, 1), (1, 1), 130, compiled=False)
    assert whole[1].any()
    for channel in (0, 64, 129):
        one = convolve(
            np.ascontiguousarray(x[..., [channel]]),
            weight[[channel]],
            bias[[channel]],
            arithmetic,
            3,
            (1, 2),
            (1, 1, 1, 1),
        )
        for part, other, full in zip(one, plain, whole, strict=True):
            assert_array_equal(part[..., 0], full[..., channel])
            assert_array_equal(other, full)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"x": np.zeros((1, 4, 4), np.int8)}, ValueError, "x must have 4 axes"),
        ({"x": np.zeros((1, 4, 4, 2))}, TypeError, "x must be an int8 array, not float64 array"),
        ({"weight": np.zeros((4, 3, 3, 3), np.int8)}, ValueError, "weight must have 2 / 1 input channels"),
        ({"groups": 0}, ValueError, "groups must be from 1 to 2, not 0"),
        (
            {"weight": np.zeros((3, 3, 3, 1), np.int8), "bias": [0] * 3, "groups": 2},
            ValueError,
            "groups must divide weight's 3",
        ),
        ({"bias": [0] * 3}, ValueError, r"bias must have shape \(4,\), one per output channel, not \(3,\)"),
        ({"bias": [0, 0, 0, 2**31]}, ValueError, "bias must be from .* not 2147483648 at index 3"),
        ({"strides": (0, 1)}, ValueError, r"strides\[0\] must be from 1 to"),
        ({"strides": 2}, ValueError, "strides must be 2 integers, not 2"),
        ({"padding": (1, 1)}, ValueError, r"padding must be 4 integers, not \(1, 1\)"),
        ({"padding": (0, -1, 0, 0)}, ValueError, r"padding\[1\] must be from 0 to"),
        ({"dilations": (1, 2)}, ValueError, "kernel must fit the padded map of 4×4, not cover 3×5"),
        ({"w_zero_point": [0] * 3}, ValueError, r"w_zero_point must be a number or have shape \(4,\), one per output"),
        ({"x_zero_point": 200}, ValueError, "x_zero_point must be from -128 to 127, not 200"),
    ],
)
def test_errors(change: dict[str, Any], error: type[Exception], message: str) -> None:
    arguments: dict[str, Any] = {
        "x": np.zeros((1, 4, 4, 2), np.int8),
        "weight": np.zeros((4, 3, 3, 2), np.int8),
        "bias": [0] * 4,
        "arithmetic": Arithmetic(),
    }
    with pytest.raises(error, match=message):
        convolve(**(arguments | change))
