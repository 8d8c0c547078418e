"""Products of bytes by a library, which must prove exact before they are used."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import numpy as np
import pytest
from numpy.typing import NDArray

from emulator import Arithmetic, accumulate
from emulator.operators.products import byte_product
from emulator.operators.products.byte_product import PAIRS, ByteProduct, flipped, transposed
from emulator.operators.products.exact_product import multiply_into, safe_columns
from tests.emulator.fast import use_always, use_never
from tests.emulator.strategies import codes

pytestmark = pytest.mark.skipif(importlib.util.find_spec("onnxruntime") is None, reason="needs onnxruntime")

SHAPES = [(1, 1, 1), (1, 66, 40), (2, 7, 65), (17, 300, 3), (70, 513, 33)]


def saturating(left: NDArray[np.uint8], right: NDArray[np.int8]) -> NDArray[np.int32]:
    """The kernels of x86 without VNNI: pairs of products are added in 16 bits, saturating."""
    if left.dtype != np.uint8 or right.dtype != np.int8:
        return np.matmul(left.astype(np.int32), right.astype(np.int32))
    even = left.shape[1] + left.shape[1] % 2
    products = np.zeros((left.shape[0], even, right.shape[1]), np.int32)
    products[:, : left.shape[1]] = left.astype(np.int32)[:, :, None] * right.astype(np.int32)
    return np.clip(products[:, ::2] + products[:, 1::2], -32768, 32767).sum(axis=1, dtype=np.int32)


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("shape", SHAPES)
def test_extreme_bytes_in_plain_integers(pair: tuple[str, str], shape: tuple[int, int, int]) -> None:
    """With each pair of types, as far as it is exact on this processor; at least one is."""
    rows, depth, columns = shape
    product = ByteProduct(byte_product._library_product(pair), pair)
    if not byte_product._is_exact(product):
        pytest.skip(f"{pair[0]} · {pair[1]} is not exact on this processor, and so never used")
    for code in (-128, -1, 127):
        for weight in (-128, 127):
            left = flipped(np.full((rows, depth), code, np.int8))
            found = product(left, np.full((depth, columns), weight, np.int8))
            assert found.dtype == np.int32 and found.tolist() == [[depth * (code + 128) * weight] * columns] * rows
    x, w = codes(1, (rows, depth), (-128, 127)), codes(2, (depth, columns), (-128, 127))
    columns_of_w = list(zip(*w.tolist(), strict=True))
    expected = [
        [sum((a + 128) * b for a, b in zip(row, column, strict=True)) for column in columns_of_w] for row in x.tolist()
    ]
    assert product(flipped(x), w).tolist() == expected
    assert product.column_sums(w).tolist() == [sum(column) for column in columns_of_w]


def test_a_kernel_that_saturates_in_16_bits_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the next pair is taken; without any, there is none, and the sums are the same."""
    use_always(monkeypatch)
    byte_product._exact_product.cache_clear()
    x, w = np.full((3, 4), 127, np.int8), np.full((4, 2), 127, np.int8)
    try:
        monkeypatch.setattr(byte_product, "_library_product", lambda pair: saturating)
        chosen = byte_product.byte_product(1)
        assert chosen is not None and chosen.pair == ("uint8", "uint8")
        assert accumulate(x, w, [5, -5], Arithmetic(), 100)[0].tolist() == [[5 + 4 * 27 * 127, -5 + 4 * 27 * 127]] * 3
        byte_product._exact_product.cache_clear()
        monkeypatch.setattr(byte_product, "PAIRS", PAIRS[:1])
        assert byte_product.byte_product(1) is None
        assert accumulate(x, w, [5, -5], Arithmetic(), 100)[0].tolist() == [[5 + 4 * 27 * 127, -5 + 4 * 27 * 127]] * 3
    finally:
        byte_product._exact_product.cache_clear()


@pytest.mark.parametrize("wrong", [(0, 0, 1), (-1, -1, 1), (5, 3, -1), (20, 7, 1 << 16)])
def test_one_wrong_sum_is_enough_to_refuse(wrong: tuple[int, int, int]) -> None:
    def product(left: NDArray[np.uint8], right: NDArray[np.int8]) -> NDArray[np.int32]:
        result = np.matmul(left.astype(np.int32), right.astype(np.int32))
        row, column, error = wrong
        if left.shape[0] > 100:
            result[row, column] += error
        return result

    assert not byte_product._is_exact(product)


def test_deep_products_are_split(monkeypatch: pytest.MonkeyPatch) -> None:
    """2^17 steps of the largest product pass 2^31; the sum's steps of 2^16 do not, and are added in int64."""
    use_always(monkeypatch)
    depth = (1 << 17) + 3
    x, w = np.full((2, depth), -128, np.int8), np.full((depth, 2), 127, np.int8)
    acc = np.empty((2, 2), np.int64)
    for zero in (127, -128, 0):
        multiply_into(x, w, np.array([7, -(2**31)]), zero, np.zeros(2, np.int16), acc)
        total = depth * (-128 - zero) * 127
        assert acc.tolist() == [[total + 7, total - 2**31]] * 2


def test_bound_from_products_of_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    w = codes(3, (90, 50), (-128, 127))
    x, bias, none = np.array([[-100, 90]], np.int8), np.arange(50) * 1000, np.zeros(50, np.int16)
    sums = [(sum(v for v in column if v > 0), -sum(v for v in column if v < 0)) for column in w.T.tolist()]
    highest = [b + 83 * p + 107 * n for b, (p, n) in zip(bias.tolist(), sums, strict=True)]
    lowest = [b - 107 * p - 83 * n for b, (p, n) in zip(bias.tolist(), sums, strict=True)]
    low, high = sorted(lowest)[10], sorted(highest)[40]
    expected = [low <= a and b <= high for a, b in zip(lowest, highest, strict=True)]
    assert 10 < sum(expected) < 50
    for use in (use_always, use_never):
        use(monkeypatch)
        assert safe_columns(x, w, bias, 7, none, (low, high)).tolist() == expected


def test_transposed() -> None:
    w = codes(4, (37, 70), (-128, 127))
    result = transposed(w)
    assert result.flags.c_contiguous
    assert result.tolist() == [list(column) for column in zip(*w.tolist(), strict=True)]


def test_the_library_is_loaded_once_it_pays() -> None:
    """Not by a small product; by the sum of many; and never where it is missing."""
    code = (
        "import sys, numpy as np, emulator\n"
        "if sys.argv[1] == 'missing': sys.modules['onnxruntime'] = None\n"
        "emulator.operators.shared.optional_library.ONNX_RUNTIME.to_load = 3 << 20\n"
        "x = np.full((128, 128), -128, np.int8)\n"
        "for _ in range(2):\n"
        "    acc, _ = emulator.accumulate(x, x, [0] * 128, emulator.Arithmetic())\n"
        "    print(int(acc[5, 7]), sys.modules.get('onnxruntime') is not None)\n"
    )
    for name, loaded in (("installed", True), ("missing", False)):
        command = [sys.executable, "-W", "error", "-c", code, name]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        assert result.stdout.split("\n")[:2] == [f"{1 << 21} False", f"{1 << 21} {loaded}"]
