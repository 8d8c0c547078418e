"""Every accumulator width in both overflow modes: torch gives the emulator's sums and codes, in training too."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import emulator
import qat
from emulator import Arithmetic
from emulator.arithmetic import OVERFLOWS
from qat.integers.accumulate import Geometry, accumulate
from qat.integers.tensor import QuantizedTensor
from tests.qat.networks import assert_equal_codes, images, randomized

WIDTHS = range(8, 49)


def arithmetic(bits: int, overflow: str) -> Arithmetic:
    return Arithmetic(accumulator_bits=bits, overflow=overflow, multiplier_bits=min(24, 63 - max(bits, 24)))


def sums(x: QuantizedTensor, weight: np.ndarray, bias: np.ndarray, geometry: Geometry | None, given: Arithmetic):
    """torch's sums, with gradients on (as in training) and off; they must be equal."""
    arguments = (torch.from_numpy(weight).float(), torch.from_numpy(bias).double(), geometry, given)
    trained, _, bound = accumulate(x, arguments[0].requires_grad_(), *arguments[1:])
    with torch.no_grad():
        assert torch.equal(accumulate(x, *arguments)[0].double(), trained.double())
    assert trained.abs().max() <= bound
    return trained.detach().numpy()


@pytest.mark.parametrize("overflow", OVERFLOWS)
@pytest.mark.parametrize("bits", WIDTHS)
def test_sums(bits: int, overflow: str) -> None:
    """Biases near both ends of their range, so that sums of any width up to 33 bits overflow."""
    rng, given = np.random.default_rng(bits), arithmetic(bits, overflow)
    codes = rng.integers(-128, 128, (3, 4, 5, 5), dtype=np.int8)
    weight = rng.integers(-128, 128, (6, 4, 3, 3), dtype=np.int8)
    least, most = given.bias_range
    bias = np.array([least, most, least + 9000, most - 9000, 0, 100]).clip(least, most)
    x = QuantizedTensor(
        centered=torch.from_numpy(codes).float() + 128, scale=torch.tensor(1.0), zero_point=-128, y_min=-128, y_max=127
    )
    found = sums(x, weight, bias, Geometry(padding=(1, 0, 1, 2)), given)
    expected, flags = emulator.convolve(
        np.ascontiguousarray(codes.transpose(0, 2, 3, 1)), np.ascontiguousarray(weight.transpose(0, 2, 3, 1)), bias,
        given, -128, padding=(1, 0, 1, 2),
    )  # fmt: skip
    np.testing.assert_array_equal(found.transpose(0, 2, 3, 1), expected)
    assert flags.any() == (bits <= 32)


@pytest.mark.parametrize("overflow", OVERFLOWS)
@pytest.mark.parametrize("bits", [33, 34])
def test_long_sums_beyond_32_bits(bits: int, overflow: str) -> None:
    depth = 600_000
    codes = np.full((2, depth), 127, np.int8)
    codes[1, ::3] = -128
    weight = np.full((2, depth), 127, np.int8)
    weight[1] = -128
    bias = np.array([2**31 - 1, -(2**31)])
    x = QuantizedTensor(
        centered=torch.from_numpy(codes).float() + 128, scale=torch.tensor(1.0), zero_point=-128, y_min=-128, y_max=127
    )
    given = arithmetic(bits, overflow)
    expected, flags = emulator.accumulate(codes, np.ascontiguousarray(weight.T), bias, given, -128)
    assert flags.all()
    np.testing.assert_array_equal(sums(x, weight, bias, None, given), expected)


def network() -> nn.Module:
    return randomized(
        nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 4, 2),
            nn.Flatten(), nn.Linear(16, 5),
        )
    )  # fmt: skip


@pytest.mark.parametrize("overflow", OVERFLOWS)
@pytest.mark.parametrize("bits", WIDTHS)
def test_models(bits: int, overflow: str, tmp_path: Path) -> None:
    x = images(4, shape=(3, 6, 6))
    model = qat.prepare(network(), (x,), arithmetic(bits, overflow))
    assert_equal_codes(model, x, tmp_path)
    overflowed = sum(int(counts.sum()) for counts in qat.overflow_counts(model, x).values())
    assert (overflowed > 0) == (bits < 18)
    expected = model.eval()(x)
    result = model.train()(x)
    assert torch.equal(result, expected)
    result.square().sum().backward()
    gradients = [parameter.grad for parameter in model.parameters()]
    assert all(gradient is not None and math.isfinite(gradient.sum()) for gradient in gradients)
