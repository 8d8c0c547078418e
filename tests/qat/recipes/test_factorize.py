"""Two layers in a row: the least squares error of their rank, exact at full rank, and only where they are smaller."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import qat
from tests.qat.networks import Mixed, assert_equal_codes, images, randomized


def product(pair: nn.Sequential) -> np.ndarray:
    """The matrix (outputs, inputs · k · k) of two layers."""
    first, second = (pair[i].weight.detach().double().flatten(1).numpy() for i in (0, 1))
    return second @ first


@pytest.mark.parametrize("rank", [1, 3])
def test_the_best_of_its_rank(rank: int) -> None:
    model = randomized(Mixed())
    result = qat.factorize(model, rank=rank)
    for name in ("features.0", "mix", "hidden"):
        pair = result.get_submodule(name)
        weight = model.get_submodule(name).weight.detach().double().flatten(1).numpy()
        assert pair[0].weight.shape[0] == pair[1].weight.shape[1] == rank
        assert pair[0].bias is None and (pair[1].bias is None) == (model.get_submodule(name).bias is None)
        # Eckart and Young: the squared error is the sum of the squares of the other eigenvalues of W·Wᵀ.
        eigenvalues = np.sort(np.linalg.eigvalsh(weight @ weight.T))[::-1]
        error = np.square(product(pair) - weight).sum()
        assert error == pytest.approx(eigenvalues[rank:].sum(), rel=1e-5)
    assert isinstance(result.features[4], nn.Conv2d)  # grouped
    assert isinstance(model.mix, nn.Conv2d)


@pytest.mark.parametrize("energy", [0.5, 0.75])
def test_the_rank_of_an_energy(energy: float) -> None:
    model = randomized(Mixed())
    result = qat.factorize(model, energy=energy, layers="mix")
    weight = model.mix.weight.detach().double().flatten(1).numpy()
    shares = np.cumsum(np.sort(np.linalg.eigvalsh(weight @ weight.T))[::-1]) / np.square(weight).sum()
    rank = int(np.argmax(shares >= energy)) + 1
    assert result.mix[0].out_channels == rank and isinstance(result.hidden, nn.Linear)


def test_the_same_function_where_the_rank_is_enough() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 16, (3, 2), stride=2, padding=(2, 1), dilation=(1, 2)), nn.Flatten(1), nn.Linear(16 * 5 * 3, 8)
    ).double()
    with torch.no_grad():
        model[0].weight.copy_((torch.randn(16, 2).double() @ torch.randn(2, 18).double()).view(16, 3, 3, 2))
        model[2].weight.copy_(torch.randn(8, 1).double() @ torch.randn(1, 240).double())
    result = qat.factorize(model, energy=1 - 1e-12)
    assert result[0][0].out_channels == 2 and result[2][0].out_features == 1
    x = images(4).double()
    torch.testing.assert_close(result(x), model(x), rtol=1e-9, atol=1e-9)
    state = torch.get_rng_state()
    qat.factorize(model, rank=1)
    assert torch.equal(torch.get_rng_state(), state)


def test_only_where_it_is_smaller() -> None:
    layer = nn.Linear(8, 8)
    assert isinstance(qat.factorize(layer, rank=3), nn.Sequential)  # 48 weights
    assert isinstance(qat.factorize(layer, rank=4), nn.Linear)  # 64
    pruned = nn.Linear(8, 8)
    qat.prune_weights(pruned, 0.5)
    assert isinstance(qat.factorize(pruned, rank=1), nn.Linear)
    shared = nn.Linear(8, 8)
    both = qat.factorize(nn.ModuleList([shared, nn.ReLU(), shared]), rank=1)
    assert both[0] is both[2] and isinstance(both[0], nn.Sequential)


def test_codes_are_the_emulators(tmp_path: Path) -> None:
    model = qat.factorize(randomized(Mixed()), energy=0.9)
    assert_equal_codes(qat.prepare(model, images(8)), images(4, 7), tmp_path)


def test_bad_arguments() -> None:
    layer = nn.Linear(8, 8)
    for arguments in ({}, {"rank": 1, "energy": 0.5}):
        with pytest.raises(ValueError, match="rank or energy must be given, and not both"):
            qat.factorize(layer, **arguments)
    with pytest.raises(ValueError, match="rank must be an integer from 1 to"):
        qat.factorize(layer, rank=0)
    for energy in (0, 1.5, float("nan"), True):
        with pytest.raises(ValueError, match="energy must be a number above 0, at most 1, not"):
            qat.factorize(layer, energy=energy)
    with pytest.raises(ValueError, match="model must be a float model, not one that is prepared"):
        qat.factorize(qat.prepare(layer, torch.ones(2, 8)), rank=1)
    with pytest.raises(ValueError, match=r"layers must match a convolution or linear layer \(0\), not 'head'"):
        qat.factorize(nn.Sequential(layer), rank=1, layers="head")
