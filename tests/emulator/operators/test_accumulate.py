"""`accumulate` against the vectors, the oracle and the facts of the contract's section 6."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from emulator import Arithmetic, accumulate, linear
from tests import oracle
from tests.emulator.strategies import arithmetics, codes, edge_integers, many, seeds, vectors


@pytest.mark.parametrize("compiled", [True, False])
def test_vectors(compiled: bool) -> None:
    cases = vectors("accumulate")
    assert len(cases) == 500
    for case in cases:
        arithmetic = Arithmetic(
            activation_bits=case["activation_bits"],
            weight_bits=case["weight_bits"],
            accumulator_bits=case["accumulator_bits"],
            overflow=case["overflow"],
            multiplier_bits=15,
        )
        x, w = np.array([case["x"]], np.int8), np.array(case["w"], np.int8)[:, None]
        acc, overflowed = accumulate(x, w, [case["bias"]], arithmetic, case["x_zero_point"], compiled=compiled)
        assert (acc[0, 0], overflowed[0, 0]) == (case["acc"], case["overflowed"]), case


@pytest.mark.parametrize("compiled", [True, False])
def test_vectors_of_weight_zero_points(compiled: bool) -> None:
    cases = vectors("accumulate_weight_zero_point")
    assert len(cases) == 400
    for case in cases:
        names = ("activation_bits", "weight_bits", "accumulator_bits", "overflow")
        arithmetic = Arithmetic(**{name: case[name] for name in names}, multiplier_bits=15)
        x, w = np.array([case["x"]], np.int8), np.array(case["w"], np.int8)[:, None]
        zeros = case["x_zero_point"], case["w_zero_point"]
        acc, overflowed = accumulate(x, w, [case["bias"]], arithmetic, *zeros, compiled=compiled)
        assert (acc[0, 0], overflowed[0, 0]) == (case["acc"], case["overflowed"]), case


@many
@given(st.data(), seeds, st.integers(1, 5), st.integers(0, 40), st.integers(1, 5), st.booleans())
def test_oracle(data: st.DataObject, seed: int, m: int, k: int, n: int, narrow: bool) -> None:
    arithmetic = data.draw(arithmetics(narrow))
    x = codes(seed, (m, k), arithmetic.activation_range)
    w = codes(seed + 1, (k, n), arithmetic.weight_range)
    bias = data.draw(st.lists(edge_integers(*arithmetic.bias_range), min_size=n, max_size=n))
    zero = data.draw(edge_integers(*arithmetic.activation_range))
    code = edge_integers(*arithmetic.weight_range)
    w_zeros = data.draw(st.one_of(st.just([0] * n), st.lists(code, min_size=n, max_size=n)))
    expected = oracle.accumulate(
        x.tolist(), w.tolist(), bias, zero, arithmetic.accumulator_bits, arithmetic.overflow, w_zeros
    )
    for compiled in (True, False):
        acc, overflowed = accumulate(x, w, bias, arithmetic, zero, w_zeros, compiled=compiled)
        assert acc.dtype == np.int64 and overflowed.dtype == np.bool_
        assert_array_equal(acc, np.array(expected[0]).reshape(m, n))
        assert_array_equal(overflowed, np.array(expected[1]).reshape(m, n))


@pytest.mark.parametrize(("zero", "w_zero"), [(0, 0), (-128, 0), (127, 0), (-128, -128), (3, 127)])
@pytest.mark.parametrize("overflow", ["saturate", "wrap"])
@pytest.mark.parametrize("bits", [10, 16, 17, 24, 31, 32, 48])
def test_routes_agree_on_shapes_that_fill_and_cross_simd_lanes(
    bits: int, overflow: str, zero: int, w_zero: int
) -> None:
    arithmetic = Arithmetic(accumulator_bits=bits, overflow=overflow, multiplier_bits=15)
    for m, k, n in ((3, 37, 130), (131, 9, 2), (1, 300, 257), (5, 1100, 3), (0, 4, 3), (4, 3, 0)):
        x, w = codes(bits, (m, k), (-128, 127)), codes(k, (k, n), (-128, 127))
        bias = np.random.default_rng(n).integers(*arithmetic.bias_range, n)
        w_zeros = np.where(np.arange(n) % 2, w_zero, 0)
        compiled = accumulate(x, w, bias, arithmetic, zero, w_zeros)
        plain = accumulate(x, w, bias, arithmetic, zero, w_zeros, compiled=False)
        assert_array_equal(compiled[0], plain[0])
        assert_array_equal(compiled[1], plain[1])


def test_exact_products_beyond_float32() -> None:
    """K so large that one float32 product of these codes would round; checked in int64."""
    k = 5000
    x, w = codes(1, (3, k), (-128, 127)), codes(2, (k, 4), (-128, 127))
    x[0], w[:, 0] = -128, -128
    x[1], x[1, 0], w[:, 1] = 127, 126, 127  # an odd sum, which float32 does not hold beyond 2^24
    for zero, w_zero in itertools.product((0, -128, 127), repeat=2):
        arithmetic = Arithmetic(accumulator_bits=48, multiplier_bits=15)
        acc, overflowed = accumulate(x, w, [1, -2, 3, 2**31 - 1], arithmetic, zero, w_zero)
        expected = (x.astype(np.int64) - zero) @ (w.astype(np.int64) - w_zero) + [1, -2, 3, 2**31 - 1]
        assert_array_equal(acc, expected)
        assert not overflowed.any()


def test_a_generator_s_column_overflows_20_bits() -> None:
    """(−128)·(−128) summed over 32 rows: 524288 = 2^19 leaves a 20-bit sum at the last step."""
    x, w = np.full((1, 32), -128, np.int8), np.full((32, 1), -128, np.int8)
    saturated, flag = accumulate(x, w, [0], Arithmetic(accumulator_bits=20))
    assert (saturated[0, 0], flag[0, 0]) == (2**19 - 1, True)
    wrapped, flag = accumulate(x, w, [0], Arithmetic(accumulator_bits=20, overflow="wrap"))
    assert (wrapped[0, 0], flag[0, 0]) == (-(2**19), True)
    fits, flag = accumulate(x[:, :31], w[:31], [0], Arithmetic(accumulator_bits=20))
    assert (fits[0, 0], flag[0, 0]) == (31 * 2**14, False)


def test_order_matters_and_zeros_do_not() -> None:
    arithmetic = Arithmetic(accumulator_bits=8, multiplier_bits=8)
    w = np.ones((3, 1), np.int8)
    up_first = accumulate(np.array([[100, 100, -100]], np.int8), w, [0], arithmetic)
    down_first = accumulate(np.array([[-100, 100, 100]], np.int8), w, [0], arithmetic)
    assert (up_first[0][0, 0], up_first[1][0, 0]) == (27, True)
    assert (down_first[0][0, 0], down_first[1][0, 0]) == (100, False)
    padded = accumulate(
        np.array([[100, 5, 100, -100]], np.int8), np.array([[1], [0], [1], [1]], np.int8), [0], arithmetic
    )
    assert_array_equal(padded[0], up_first[0])


def test_linear_is_accumulate() -> None:
    x, w = codes(3, (4, 9), (-128, 127)), codes(4, (9, 5), (-128, 127))
    for one, other in zip(
        linear(x, w, np.arange(5), Arithmetic(), 3, np.arange(5)),
        accumulate(x, w, np.arange(5), Arithmetic(), 3, np.arange(5)),
        strict=True,
    ):
        assert_array_equal(one, other)


@pytest.mark.parametrize("bits", [16, 32])
@pytest.mark.parametrize(("m", "k", "n"), [(20_000, 40, 300), (4, 1_000_000, 3), (16, 64, 60_000), (3, 300_000, 300)])
def test_memory_beyond_inputs_and_outputs(bits: int, m: int, k: int, n: int) -> None:
    arithmetic = Arithmetic(accumulator_bits=bits)
    x, w = (
        np.tile(codes(1, (m, 8), (-128, 127)), (1, -(-k // 8)))[:, :k],
        np.tile(codes(2, (8, n), (-128, 127)), (-(-k // 8), 1))[:k],
    )
    # The last third of the columns cannot be proved free of overflow, whatever the width.
    bias = np.where(np.arange(n) < 2 * n / 3, 0, arithmetic.bias_range[1])
    accumulate(x[:1, :1], w[:1], bias, arithmetic)
    tracemalloc.start()
    result = accumulate(x, w, bias, arithmetic)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak - sum(array.nbytes for array in result) <= 256 << 20


def int8(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int8]]:
    return np.zeros(shape, np.int8)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((int8(2, 3).astype(np.int16), int8(3, 2), [0, 0]), TypeError, "x must be an int8 array, not int16 array"),
        (([[1]], int8(1, 1), [0]), TypeError, "x must be an int8 array, not list"),
        ((int8(3), int8(3, 2), [0, 0]), ValueError, r"x must have 2 axes, not shape \(3,\)"),
        ((int8(2, 3), int8(4, 2), [0, 0]), ValueError, r"w must have 3 rows, one per column of x, not shape \(4, 2\)"),
        ((int8(2, 3) + np.int8(8), int8(3, 2), [0, 0]), ValueError, r"x must be from -8 to 7, not 8 at index \(0, 0\)"),
        ((int8(2, 3), int8(3, 2) - np.int8(3), [0, 0]), ValueError, "w must be from -2 to 1, not -3"),
        ((int8(2, 3), int8(3, 2), [0, 2048]), ValueError, "bias must be from -2048 to 2047, not 2048 at index 1"),
        ((int8(2, 3), int8(3, 2), [0, -2049]), ValueError, "bias must be from -2048 to 2047, not -2049 at index 1"),
        (
            (int8(2, 3), int8(3, 2), [0, 2**70]),
            ValueError,
            "bias must be from -2048 to 2047, not 1180591620717411303424",
        ),
        ((int8(2, 3), int8(3, 2), [0]), ValueError, r"bias must have shape \(2,\), one per output channel, not \(1,\)"),
        ((int8(2, 3), int8(3, 2), 0), ValueError, r"bias must have shape \(2,\)"),
        ((int8(2, 3), int8(3, 2), [0.0, 1.0]), TypeError, "bias must be an integer or an array of integers"),
        ((int8(2, 3), int8(3, 2), [True, False]), TypeError, "bias must be an integer or an array of integers"),
        ((int8(2, 3), int8(3, 2), [[1], [2, 3]]), TypeError, "bias must be an integer or an array of integers"),
    ],
)
def test_errors(arguments: tuple[object, ...], error: type[Exception], message: str) -> None:
    arithmetic = Arithmetic(activation_bits=4, weight_bits=2, accumulator_bits=12)
    with pytest.raises(error, match=message):
        accumulate(*arguments, arithmetic)  # type: ignore[arg-type, call-arg]


@pytest.mark.parametrize(("zero", "error"), [(8, ValueError), (-9, ValueError), (1.0, TypeError), (True, TypeError)])
def test_zero_point_errors(zero: object, error: type[Exception]) -> None:
    with pytest.raises(error, match="x_zero_point must be"):
        accumulate(int8(1, 1), int8(1, 1), [0], Arithmetic(activation_bits=4), zero)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("zero", "error", "message"),
    [
        (2, ValueError, "w_zero_point must be from -2 to 1, not 2"),
        ([0, -3], ValueError, "w_zero_point must be from -2 to 1, not -3 at index 1"),
        ([0, 0, 0], ValueError, r"w_zero_point must be a number or have shape \(2,\), one per output channel, not"),
        (0.0, TypeError, "w_zero_point must be an integer or an array of integers, not 0.0"),
    ],
)
def test_weight_zero_point_errors(zero: object, error: type[Exception], message: str) -> None:
    arithmetic = Arithmetic(activation_bits=4, weight_bits=2)
    with pytest.raises(error, match=message):
        accumulate(int8(1, 3), int8(3, 2), [0, 0], arithmetic, 0, zero)  # type: ignore[arg-type]


def test_arithmetic_error() -> None:
    with pytest.raises(TypeError, match="arithmetic must be an Arithmetic, not 32"):
        accumulate(int8(1, 1), int8(1, 1), [0], 32)  # type: ignore[arg-type]
