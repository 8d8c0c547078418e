"""The bound that proves that no order of a sum can overflow, and the product that it allows."""

from __future__ import annotations

from itertools import product

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from emulator.operators.products.exact_product import multiply_into, safe_columns
from tests.emulator.strategies import codes, many, seeds


@many
@given(seeds, st.integers(1, 3), st.integers(-8, 7), st.integers(8, 10), st.integers(-60, 60), st.integers(-30, 30))
def test_bound_is_exact(seed: int, depth: int, zero: int, bits: int, bias: int, w_zero: int) -> None:
    """A column is safe exactly where no subset of terms, with any codes, leaves the range."""
    weights = np.random.default_rng(seed).integers(-30, 31, (depth, 1)).astype(np.int8)
    x = np.array([[-8] * depth, [7] * depth], np.int8)
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    sums = [
        bias + sum(term)
        for term in product(*[[(code - zero) * (int(w) - w_zero) for code in (-8, zero, 7)] for w in weights[:, 0]])
    ]
    safe = safe_columns(x, weights, np.array([bias]), zero, np.array([w_zero], np.int16), (low, high))
    assert safe[0] == (low <= min(sums) and max(sums) <= high)


def test_bound_of_the_contract_without_bias() -> None:
    """a·q⁺ + b·q⁻ ≤ 2^(P−1) − 1 and b·q⁺ + a·q⁻ ≤ 2^(P−1), at the edge."""
    for zero, a, b in ((0, 127, 128), (-128, 255, 0)):
        x = np.array([[-128, 127]], np.int8)
        for weights in ([3, 5], [-3, -5], [3, -5]):
            w = np.array(weights, np.int8)[:, None]
            positive, negative = sum(max(v, 0) for v in weights), sum(max(-v, 0) for v in weights)
            above, below = a * positive + b * negative, b * positive + a * negative
            column = x, w, np.zeros(1, np.int64), zero, np.zeros(1, np.int16)
            assert safe_columns(*column, (-below, above))[0]
            assert not safe_columns(*column, (-below, above - 1))[0] or above == 0
            assert not safe_columns(*column, (-below + 1, above))[0] or below == 0


def test_columns_are_judged_one_by_one() -> None:
    w = np.array([[1, 127, -128], [1, 127, 0]], np.int8)
    x = np.array([[-128, 127]], np.int8)
    none = np.zeros(3, np.int16)
    for bias, zeros, bits, expected in (
        ([0, 0, 0], none, 16, [True, True, True]),
        ([0, 600, 0], none, 16, [True, False, True]),
        ([0, 0, 0], none, 12, [True, False, False]),
        ([0, 0, 0], np.array([1, 127, -128], np.int16), 16, [True, True, True]),
        ([0, 0, 0], np.array([-128, 127, 1], np.int16), 16, [False, True, True]),
    ):
        limits = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        assert_array_equal(safe_columns(x, w, np.array(bias), 0, zeros, limits), expected)


@many
@given(seeds, st.integers(0, 5), st.integers(0, 3000), st.integers(0, 5), st.integers(-128, 127), st.booleans())
def test_products_are_exact(seed: int, m: int, k: int, n: int, zero: int, weight_zeros: bool) -> None:
    x, w = codes(seed, (m, k), (-128, 127)), codes(seed + 1, (k, n), (-128, 127))
    if seed % 3 == 0:
        x[...], w[...] = -128, -128
    bias = np.random.default_rng(seed).integers(-(2**31), 2**31, n)
    acc = np.empty((m, n), np.int64)
    w_zero = codes(seed + 2, (n,), (-128, 127)).astype(np.int16) * weight_zeros
    multiply_into(x, w, bias, zero, w_zero, acc)
    assert_array_equal(acc, (x.astype(np.int64) - zero) @ (w.astype(np.int64) - w_zero) + bias)
