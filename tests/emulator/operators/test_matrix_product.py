"""The product of two activations against plain Python integers."""

from __future__ import annotations

import numpy as np
import pytest

from emulator import Arithmetic, matrix_product
from tests import oracle

HEADS = [((), ()), ((1,), (1,)), ((3,), (3,)), ((4,), (2,)), ((1,), (3,)), ((2, 4), (2, 1)), ((1, 2), (3, 2))]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("heads", HEADS)
def test_sums_and_flags_are_those_of_the_contract(seed: int, heads: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    rng = np.random.default_rng([seed, len(str(heads))])
    bits, mode = int(rng.choice([8, 11, 14, 18, 32])), str(rng.choice(["saturate", "wrap"]))
    arithmetic = Arithmetic(accumulator_bits=bits, overflow=mode, multiplier_bits=20)
    m, k, n = (int(rng.choice([1, 2, 3, 5, 8, 13])) for _ in range(3))
    za, zb = (int(rng.choice([-128, 0, 3, 127])) for _ in range(2))
    a = rng.integers(-128, 128, (2, *heads[0], m, k)).astype(np.int8)
    b = rng.integers(-128, 128, (2, *heads[1], k, n)).astype(np.int8)
    turns = [bool(rng.integers(2)) for _ in range(2)]
    given = [each.swapaxes(-1, -2) if turn else each for each, turn in zip((a, b), turns, strict=True)]
    acc, overflowed = matrix_product(*given, arithmetic, za, zb, *turns, compiled=bool(seed % 2))
    whole = tuple(max(pair) for pair in zip(*heads, strict=True))
    assert acc.shape == overflowed.shape == (2, *whole, m, n)
    for sample, *head in np.ndindex(2, *whole):
        left, right = a[sample], b[sample]
        for index, count in zip(head, whole, strict=True):
            left, right = (each[index * len(each) // count] for each in (left, right))
        sums, flags = oracle.matrix_product(left.tolist(), right.tolist(), za, zb, bits, mode)
        np.testing.assert_array_equal(acc[(sample, *head)], sums)
        np.testing.assert_array_equal(overflowed[(sample, *head)], flags)


def test_narrow_accumulators_overflow() -> None:
    """So that the flags of the test above are not all False."""
    a, b = np.full((1, 2, 9), 127, np.int8), np.full((1, 9, 3), 127, np.int8)
    acc, overflowed = matrix_product(a, b, Arithmetic(accumulator_bits=16))
    assert overflowed.all() and (acc == 2**15 - 1).all()


@pytest.mark.parametrize(
    ("a", "b", "text"),
    [
        ((1, 3, 4), (1, 5, 2), "b must have 4 rows, one per column of a, not 5"),
        ((1, 4), (1, 4), "a and b must have equally many axes"),
        ((1, 2, 3, 4), (1, 4, 2), "a and b must have equally many axes"),
        ((1, 3, 2, 4), (1, 2, 4, 2), "the heads of a and b must divide one another, not be"),
        ((1, 3, 4), (2, 4, 2), "b must have the batch of a, 1, not 2"),
    ],
)
def test_shapes_that_do_not_match(a: tuple[int, ...], b: tuple[int, ...], text: str) -> None:
    with pytest.raises(ValueError, match=text.replace("(", r"\(")):
        matrix_product(np.zeros(a, np.int8), np.zeros(b, np.int8), Arithmetic())


def test_the_second_operand_must_be_codes_of_weights() -> None:
    a, b = np.zeros((1, 2, 3), np.int8), np.full((1, 3, 2), 9, np.int8)
    with pytest.raises(ValueError, match="b must be from -8 to 7"):
        matrix_product(a, b, Arithmetic(weight_bits=4))
    with pytest.raises(ValueError, match="b_zero_point must be from -8 to 7"):
        matrix_product(a, 0 * b, Arithmetic(weight_bits=4), 0, 8)
