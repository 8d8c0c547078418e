"""Operators that move codes, against plain loops over indices."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from emulator import concat, pad, rescale, slice_codes, transpose
from emulator.arithmetic import Arithmetic
from emulator.operators.requantization.multiplier import quantize_multiplier
from tests import oracle

RNG = np.random.default_rng(0)
X = RNG.integers(-128, 128, (2, 3, 4, 5), dtype=np.int8)


def test_transpose() -> None:
    moved = transpose(X, (0, 3, 1, 2))
    assert moved.shape == (2, 5, 3, 4)
    for b, c, h, w in product(range(2), range(5), range(3), range(4)):
        assert moved[b, c, h, w] == X[b, h, w, c]


def test_concat_with_a_rescaled_input() -> None:
    """Inputs of another scale go through section 3 first."""
    arithmetic = Arithmetic(rounding="half_up")
    multiplier, shift = quantize_multiplier(0.3 / 0.4, arithmetic)
    other = rescale(X, 7, multiplier, shift, -5, -128, 127, arithmetic)
    joined = concat([X, other], -1)
    assert joined.shape == (2, 3, 4, 10)
    for b, h, w, c in product(range(2), range(3), range(4), range(5)):
        assert joined[b, h, w, c] == X[b, h, w, c]
        code, _ = oracle.requantize(int(X[b, h, w, c]) - 7, multiplier, shift, -5, -128, 127, "half_up")
        assert joined[b, h, w, 5 + c] == code


def test_slice() -> None:
    moved = slice_codes(X, 3, 1, 5, 2)
    assert moved.tolist() == [[[[p[1], p[3]] for p in row] for row in image] for image in X.tolist()]


def test_pad() -> None:
    moved = pad(X, (1, 2, 0, 1), -128)
    assert moved.shape == (2, 4, 7, 5)
    for b, h, w, c in product(range(2), range(4), range(7), range(5)):
        inside = h >= 1 and 2 <= w < 6
        assert moved[b, h, w, c] == (X[b, h - 1, w - 2, c] if inside else -128)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: transpose(X, (1, 0, 2, 3)), "axes must be a permutation of the 4 axes that begins with 0"),
        (lambda: concat([], 1), "xs must hold at least one array"),
        (lambda: concat([X, X[:, :2]], 2), r"xs\[1\] must have the shape"),
        (lambda: concat([X], 0), "axis must be one of the 4 axes but the batch's, not 0"),
        (lambda: slice_codes(X, 1, 2, 2), "stop must be"),
        (lambda: pad(X, (-1, 0, 0, 0), 0), "padding must be"),
        (lambda: pad(X, (0, 0, 0, 0), 200), "zero_point must be"),
    ],
)
def test_wrong_arguments_are_named(call: object, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        call()  # type: ignore[operator]
