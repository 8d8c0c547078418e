"""Products of bytes against Python's integers, and what keeps to float32."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from emulator import Arithmetic
from qat.integers.chain import Chain
from qat.integers.element_steps import Range
from qat.integers.matrix import byte_product
from qat.integers.matrix.matrix_step import MatrixProduct, WeightCodes, matrix_product
from qat.integers.tensor import QuantizedTensor

HERE = byte_product.pays(1, byte_product.MAX_LENGTH, byte_product.LEAST_STEPS)
"""Whether this processor has such a product."""


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Products of bytes however small, by integers where the processor has none, and their channels."""
    channels, product = list[int](), byte_product._product

    def count(x: NDArray[np.int8], weight: NDArray[np.int8]) -> NDArray[np.int32]:
        channels.append(len(weight))
        return product(x, weight) if HERE else (x.astype(np.int64) @ weight.astype(np.int64).T).astype(np.int32)

    monkeypatch.setattr(byte_product, "LEAST_STEPS", 0)
    monkeypatch.setattr(byte_product, "_exact", lambda: True)
    monkeypatch.setattr(byte_product, "_product", count)
    yield channels


def product(x: torch.Tensor, zero_point: int) -> tuple[MatrixProduct, list[list[int]]]:
    """The step of this x, with weights at both ends and three channels, after its forward pass, and the weights."""
    chain, coded = Chain(), WeightCodes(127, True)
    weight = torch.randint(-3, 4, (3, x.shape[1]), generator=torch.Generator().manual_seed(1)) * 60
    codes = chain.add(coded, (weight.float(), torch.ones(3)), ())
    given = QuantizedTensor(centered=x, scale=torch.tensor(1.0), zero_point=zero_point, y_min=-128, y_max=127)
    bias, added = torch.tensor([5.0, -7.0, 100.0]), torch.zeros(3)
    ends = Range(-128, 127, Arithmetic())
    step = matrix_product(given, (codes, coded), bias, torch.ones(3), added, 4096.0, ends, (True, True))
    assert step is not None
    chain.add(step, (x, codes, bias, torch.ones(3)), (given.scale, torch.tensor(4096.0)))
    return step, [[min(max(w, -127), 127) for w in row] for row in weight.tolist()]


@pytest.mark.parametrize("zero_point", [-128, 0, 3, 127])
def test_sums_are_those_of_integers(zero_point: int, counted: list[int]) -> None:
    ends = -128 - zero_point, 127 - zero_point
    x = torch.randint(ends[0], ends[1] + 1, (5, 71), generator=torch.Generator().manual_seed(2)).float()
    x[0], x[1] = ends[0], ends[1]
    step, weights = product(x, zero_point)
    wanted = [
        [
            sum(a * w for a, w in zip(row, channel, strict=True)) + bias
            for channel, bias in zip(weights, (5, -7, 100), strict=True)
        ]
        for row in x.long().tolist()
    ]
    assert counted == [3]
    assert step.ideal.dtype == torch.float32
    assert step.ideal.tolist() == wanted


@pytest.mark.skipif(not HERE, reason="a processor without instructions for products of bytes")
@pytest.mark.parametrize("x", [-128, 127])
@pytest.mark.parametrize("weight", [-128, 127])
def test_the_longest_products_hold_all_codes_at_an_end(x: int, weight: int) -> None:
    length = byte_product.MAX_LENGTH
    rows = np.full((2, length), x, np.int8), np.full((3, length), weight, np.int8)
    assert byte_product._product(*rows).tolist() == [[length * x * weight] * 3] * 2


def test_what_is_between_codes_is_none() -> None:
    assert byte_product.bytes_of(np.array([[3.0, 0.5]], np.float32), 0) is None


@pytest.mark.parametrize("value", [math.nan, math.inf, 128.0, -129.0])
def test_what_is_no_byte_stays_float32(value: float, counted: list[int]) -> None:
    """A model whose parameters have become NaN goes on to show it."""
    x = torch.ones(5, 71)
    x[2, 3] = value
    assert byte_product.bytes_of(x.numpy(), 0) is None
    step, weights = product(x, 0)
    assert not counted
    assert step.ideal[0].tolist() == [sum(row) + bias for row, bias in zip(weights, (5, -7, 100), strict=True)]
    assert step.ideal.isfinite().all() == math.isfinite(value)


def test_where_products_of_bytes_saturate_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pairs of products added in 16 bits, as by AVX2: two of −128 · −128 become 32767."""

    def saturating(x: NDArray[np.int8], weight: NDArray[np.int8]) -> NDArray[np.int32]:
        products = x[:, None].astype(np.int32) * weight
        pairs = np.add.reduceat(products, np.arange(0, x.shape[1], 2), axis=2)
        sums: NDArray[np.int32] = np.clip(pairs, -32768, 32767).sum(2, dtype=np.int32)
        return sums

    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx_vnni": True})
    monkeypatch.setattr(byte_product, "CHECKED_SHAPES", ((1, 70, 33),))
    monkeypatch.setattr(byte_product, "_product", lambda x, weight: x.astype(np.int32) @ weight.astype(np.int32).T)
    assert byte_product._exact.__wrapped__()
    monkeypatch.setattr(byte_product, "_product", saturating)
    assert not byte_product._exact.__wrapped__()


def test_none_without_instructions_or_for_small_products(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "avx512_vnni": False})
    assert not byte_product._exact.__wrapped__()
    monkeypatch.setattr(byte_product, "_exact", lambda: True)
    assert byte_product.pays(256, 784, 256)
    assert not byte_product.pays(4, 96, 256)  # too few
    assert not byte_product.pays(256, byte_product.MAX_LENGTH + 1, 256)
