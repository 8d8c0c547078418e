"""Sums on torch tensors: the contract's vectors, exactness at the bounds, and what could break it in torch."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from emulator import Arithmetic
from qat.integers.accumulate import accumulate, walk
from qat.integers.geometry import Geometry
from qat.integers.tensor import QuantizedTensor
from tests import oracle
from tests.emulator.strategies import arithmetics, codes, few, seeds, vectors


def quantized(x: np.ndarray, zero_point: int, arithmetic: Arithmetic) -> QuantizedTensor:
    low, high = arithmetic.activation_range
    centered = torch.from_numpy(x).float() - zero_point
    return QuantizedTensor(centered=centered, scale=torch.tensor(1.0), zero_point=zero_point, y_min=low, y_max=high)


@pytest.mark.parametrize(("name", "count"), [("accumulate", 500), ("accumulate_weight_zero_point", 400)])
def test_vectors(name: str, count: int) -> None:
    cases = vectors(name)
    assert len(cases) == count
    for case in cases:
        arithmetic = Arithmetic(
            **{name: case[name] for name in ("activation_bits", "weight_bits", "accumulator_bits", "overflow")}
        )
        x = quantized(np.array([case["x"]], np.int8), case["x_zero_point"], arithmetic)
        zeros = torch.tensor([case.get("w_zero_point", 0)])
        weight = torch.tensor([case["w"]], dtype=torch.float32) - zeros
        bias = torch.tensor([case["bias"]], dtype=torch.float64)
        acc, _, bound = accumulate(x, weight, bias, None, arithmetic, zeros)
        assert acc.item() == case["acc"] and abs(case["acc"]) <= bound, case
        with torch.no_grad():
            assert accumulate(x, weight, bias, None, arithmetic, zeros)[0].item() == case["acc"], case
        sums, flags = walk(x, weight, bias, None, arithmetic, zeros)
        assert (sums.item(), flags.item()) == (case["acc"], case["overflowed"]), case


@few
@given(st.data(), arithmetics(narrow=True), seeds)
def test_convolutions(data: st.DataObject, arithmetic: Arithmetic, seed: int) -> None:
    groups = data.draw(st.sampled_from([1, 2]))
    x = codes(seed, (2, 4, 4, 5), arithmetic.activation_range)
    zero_point = data.draw(st.integers(*arithmetic.activation_range))
    weight = codes(seed + 1, (6, 4 // groups, 2, 3), arithmetic.weight_range)
    # One output channel of small weights, so that some channels need the walk and others do not.
    weight[0] = np.clip(weight[0], -1, 0)
    bias = np.random.default_rng(seed).integers(arithmetic.bias_range[0], arithmetic.bias_range[1] + 1, 6) // 2
    zeros = np.array(data.draw(st.lists(st.integers(*arithmetic.weight_range), min_size=6, max_size=6)))
    zeros *= data.draw(st.booleans())
    centered = weight - zeros.reshape(-1, 1, 1, 1)
    strides, dilations = data.draw(st.sampled_from([((1, 1), (1, 1)), ((2, 1), (1, 2))]))
    padding = data.draw(st.sampled_from([(0, 0, 0, 0), (1, 0, 1, 2), (1, 1, 1, 1)]))
    geometry = Geometry(strides=strides, padding=padding, dilations=dilations, groups=groups)
    found, _, _ = accumulate(
        quantized(x, zero_point, arithmetic), torch.from_numpy(centered).float(), torch.from_numpy(bias).double(),
        geometry, arithmetic, torch.from_numpy(zeros),
    )  # fmt: skip
    rows, columns = weight.transpose(0, 2, 3, 1).tolist(), bias.tolist()
    bits, mode = arithmetic.accumulator_bits, arithmetic.overflow
    for image, sums in zip(x.transpose(0, 2, 3, 1).tolist(), found.numpy(), strict=True):
        window = strides, padding, dilations, groups, zeros.tolist()
        cells = oracle.convolve(image, rows, columns, zero_point, bits, mode, *window)
        expected = [[[acc for acc, _ in channels] for channels in line] for line in cells]
        np.testing.assert_array_equal(sums.transpose(1, 2, 0), expected)


@pytest.mark.parametrize("depth", [514, 515, 1024, 5000])
def test_deep_sums_are_exact(depth: int) -> None:
    arithmetic = Arithmetic()
    x = np.full((1, depth), 127, np.int8)
    weight = torch.full((2, depth), -127.0)
    weight[1] = 127.0
    weight[1, -1] = 126.0
    acc, _, _ = accumulate(quantized(x, -128, arithmetic), weight, torch.tensor([1.0, -1.0]).double(), None, arithmetic)
    total = 255 * 127 * depth
    assert acc.tolist() == [[1 - total, total - 255 - 1]]


@contextmanager
def reduced_precision(name: str) -> Iterator[None]:
    """Something that makes torch's float products inexact or different."""
    if name == "autocast":
        with torch.autocast("cpu", dtype=torch.bfloat16):
            yield
        return
    if name == "no oneDNN":
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "TF32 acceleration on top of oneDNN")
            with torch.backends.mkldnn.flags(enabled=False):
                yield
        return
    previous = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(name)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(previous)


@pytest.mark.parametrize("name", ["autocast", "no oneDNN", "medium", "high"])
@pytest.mark.parametrize("kind", ["convolution", "product"])
def test_precision_settings_are_harmless(name: str, kind: str) -> None:
    arithmetic = Arithmetic()
    generator = np.random.default_rng(3)
    shape, kernel = ((32, 24, 9, 9), (40, 24, 3, 3)) if kind == "convolution" else ((64, 500), (40, 500))
    x = quantized(generator.integers(-128, 128, shape).astype(np.int8), -128, arithmetic)
    weight = torch.from_numpy(generator.integers(-127, 128, kernel)).float()
    bias = torch.from_numpy(generator.integers(-10000, 10000, 40)).double()
    geometry = Geometry(padding=(1, 1, 1, 1)) if kind == "convolution" else None
    expected, _ = walk(x, weight, bias, geometry, arithmetic)
    with reduced_precision(name):
        found, _, _ = accumulate(x, weight, bias, geometry, arithmetic)
    assert torch.equal(found.double(), expected.double())


@pytest.mark.parametrize(
    ("place", "answer", "kind"),
    [
        ("platform.machine", "x86_64", torch.float32),
        ("platform.machine", "AMD64", torch.float32),
        ("platform.machine", "aarch64", torch.float64),
        ("platform.machine", "arm64", torch.float64),
        ("torch.backends.mkldnn.is_available", False, torch.float64),
    ],
)
def test_float32_is_for_kernels_that_do_not_transform(
    place: str, answer: object, kind: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(place, lambda: answer)
    x = quantized(np.ones((1, 1, 4, 4), np.int8), 0, Arithmetic())
    acc, _, _ = accumulate(x, torch.ones(1, 1, 3, 3), torch.zeros(1).double(), Geometry(), Arithmetic())
    assert acc.dtype == kind and acc.tolist() == [[[[9.0] * 2] * 2]]


def test_a_sum_one_beyond_the_range_saturates() -> None:
    arithmetic = Arithmetic(accumulator_bits=8)
    x = quantized(np.array([[127], [-128]], np.int8), 0, arithmetic)
    for bias, expected in ((0, [127, -128]), (1, [127, -127]), (-1, [126, -128])):
        acc, _, _ = accumulate(x, torch.ones(1, 1), torch.tensor([bias]).double(), None, arithmetic)
        assert acc.flatten().tolist() == expected


def test_padding_counts_where_zero_is_no_legal_code() -> None:
    centered = torch.full((1, 1, 1, 1), 50.0)
    for sign, extremes in ((1, (0, 60)), (-1, (-60, 0))):
        low, high = sorted((sign * 50, sign * 60))
        x = QuantizedTensor(centered=sign * centered, scale=torch.tensor(1.0), zero_point=0, y_min=low, y_max=high)
        assert x.extremes == extremes


def products(overflow: str, outer: float, sign: int) -> tuple[list[float], list[float]]:
    """Gradients of x and w of one sum that overflows on the side of `sign`."""
    arithmetic = Arithmetic(accumulator_bits=8, overflow=overflow)
    x = quantized(np.array([[100, 20]], np.int8), 0, arithmetic)
    centered = x.centered.requires_grad_()
    weight = torch.tensor([[2.0 * sign, 3.0 * sign]], requires_grad=True)
    acc, _, _ = accumulate(x, weight, torch.zeros(1).double(), None, arithmetic)
    acc.backward(torch.full_like(acc, outer))
    grads: list[Tensor | None] = [centered.grad, weight.grad]
    return tuple(grad[0].tolist() for grad in grads if grad is not None)  # type: ignore[return-value]


def test_gradients_through_overflowed_sums() -> None:
    assert products("saturate", 1.0, 1) == ([2.0, 3.0], [100.0, 20.0])
    assert products("saturate", -1.0, 1) == ([0.0, 0.0], [0.0, 0.0])
    assert products("saturate", -1.0, -1) == ([2.0, 3.0], [-100.0, -20.0])
    assert products("saturate", 1.0, -1) == ([0.0, 0.0], [0.0, 0.0])
    assert products("wrap", -1.0, 1) == products("wrap", 1.0, 1) == ([2.0, 3.0], [100.0, 20.0])


@pytest.mark.parametrize("kind", ["convolution", "product"])
@pytest.mark.parametrize("zero_point", [-128, 0])
@pytest.mark.parametrize("beyond", [0, 1])
def test_sums_at_the_end_of_float32(kind: str, zero_point: int, beyond: int) -> None:
    # All weights are of one sign, so that the largest sum is the bound: 2^24, and one above it.
    arithmetic = Arithmetic()
    extreme = -128 if zero_point == 0 else 255
    length = 48 * 9
    weight = np.full(length, 127 if extreme > 0 else -127)
    bias = np.array([(1 << 24) - 127 * abs(extreme) * length + beyond])
    bias = np.concatenate([bias, -bias])
    codes = np.full((2, length), extreme + zero_point, np.int8)
    codes[1, ::2] -= np.int8(np.sign(extreme))
    rows = np.stack([weight, -weight])
    expected = [[int(b) + sum((int(c) - zero_point) * int(w) for c, w in zip(image, row, strict=True))
                 for row, b in zip(rows, bias, strict=True)] for image in codes]  # fmt: skip
    assert expected[0][0] == (1 << 24) + beyond
    shape = (-1, 48, 3, 3) if kind == "convolution" else (2, length)
    x, weights = quantized(codes.reshape(shape), zero_point, arithmetic), torch.from_numpy(rows.reshape(shape)).float()
    geometry = Geometry() if kind == "convolution" else None
    acc, _, bound = accumulate(x, weights, torch.from_numpy(bias).double(), geometry, arithmetic)
    assert acc.flatten(1).tolist() == expected
    assert acc.dtype == (torch.float64 if beyond else torch.float32) and bound == (1 << 24) + beyond


@pytest.mark.parametrize("padding", [(1, 0, 2, 1), (2, 1, 2, 1), None])
def test_long_sums_have_the_gradients_of_the_plain_product(padding: tuple[int, int, int, int] | None) -> None:
    generator = np.random.default_rng(5)
    shape, kernel = ((3, 600, 5, 6), (4, 600, 3, 2)) if padding else ((3, 3000), (4, 3000))
    x = quantized(generator.integers(-128, 128, shape).astype(np.int8), -128, Arithmetic())
    tensors = x.centered, torch.from_numpy(generator.integers(-127, 128, kernel)).float(), torch.zeros(4).double()
    geometry = Geometry(padding=padding, strides=(2, 1)) if padding else None
    for tensor in tensors:
        tensor.requires_grad_()
    acc, _, bound = accumulate(x, *tensors[1:], geometry, Arithmetic())
    assert bound > 1 << 24
    outer = torch.randn(acc.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = torch.autograd.grad(acc, tensors, outer)
    doubles = [tensor.double() for tensor in tensors]
    plain = torch.nn.functional.linear(*doubles) if geometry is None else geometry.convolve(*doubles)
    assert torch.equal(acc, plain)
    for gradient, expected in zip(found, torch.autograd.grad(plain, tensors, outer), strict=True):
        torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-2)
