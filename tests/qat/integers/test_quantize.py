"""The compiled quantization: the host's codes, torch's operators and their gradients; exact bounds of sums."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal

import qat.integers.quantize
from emulator import quantize
from qat.integers.quantize import plain_quantized, quantized, subset_bounds

pytestmark = pytest.mark.usefixtures("shares")


def ties(scale: float) -> torch.Tensor:
    middle = (torch.arange(-300, 300) + 0.5) * scale
    return torch.stack([middle, torch.nextafter(middle, middle + 1), torch.nextafter(middle, middle - 1)])


def test_codes_are_those_of_the_host() -> None:
    scale = 0.0371
    x = torch.cat([ties(scale).flatten(), torch.tensor([math.inf, -math.inf, 0.0, -0.0])])
    expected = quantize(x.numpy(), scale, 5, -100, 127).astype(np.int64) - 5
    found = quantized(x, torch.tensor(scale), -105, 122)
    assert_array_equal(found.numpy(), expected)
    assert set(found.tolist()) == set(range(-105, 123))


@pytest.mark.parametrize("shape", [(7,), (6, 50), (5, 4, 3, 3), (6, 0), (0, 3)])
@pytest.mark.parametrize("several", [True, False])
def test_codes_and_gradients_are_those_of_the_plain_operations(shape: tuple[int, ...], several: bool) -> None:
    generator = torch.Generator().manual_seed(2)
    x = (3 * torch.randn(shape, generator=generator)).requires_grad_()
    scale = (torch.rand((shape[0],) if several else (), generator=generator) + 0.1).requires_grad_()
    outer = torch.randn(shape, generator=generator)
    found, expected = quantized(x, scale, -3, 7), plain_quantized(x, scale, -3, 7)
    assert torch.equal(found, expected)
    assert not x.numel() or (expected == -3).any()
    for one, other in zip(*(torch.autograd.grad(y, (x, scale), outer) for y in (found, expected)), strict=True):
        assert one.shape == other.shape
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_other_layouts_give_the_same() -> None:
    x = torch.randn(4, 3, 5, 2, generator=torch.Generator().manual_seed(3))
    scale = torch.full((4,), 0.1)
    expected = quantized(x, scale, -127, 127)
    for same in (x.contiguous(memory_format=torch.channels_last), x.transpose(1, 2).contiguous().transpose(1, 2)):
        assert torch.equal(quantized(same, scale, -127, 127), expected)


def test_nan_stays() -> None:
    x = torch.tensor([[math.nan, 1.0], [500.0, 0.5]])
    found = quantized(x, torch.ones(()), -127, 127)
    assert found.isnan().tolist() == [[True, False], [False, False]]
    assert found[1].tolist() == [127.0, 0.0]


@pytest.mark.parametrize("compiled", [True, False])
def test_bounds_are_attained_and_exact(compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not compiled:
        monkeypatch.setattr(qat.integers.quantize, "numba_installed", lambda: False)
    weight = torch.randint(-127, 128, (5, 700, 3, 3), generator=torch.Generator().manual_seed(4))
    above, below = subset_bounds(weight.float(), -3, 250)
    rows = weight.flatten(1).numpy()
    assert above.tolist() == np.where(rows > 0, 250 * rows, -3 * rows).sum(1).tolist()
    assert below.tolist() == (-np.where(rows > 0, -3 * rows, 250 * rows).sum(1)).tolist()
