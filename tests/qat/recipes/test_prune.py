"""Pruned weights: which ones, that they stay 0 through every training, and that the file's codes are 0 there."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import qat
from emulator import Arithmetic, certify
from qat.layers.masks import mask_of
from tests.qat.networks import Mixed, assert_equal_codes, exported, images, randomized

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same'")  # of torch, about the float model
LAYERS = ("features.0", "features.4", "mix", "hidden", "head")
MAP = (12, 5, 3)  # what the Flatten in front of `hidden` reads


def stored(name: str, weight: np.ndarray) -> np.ndarray:
    """A weight in the contract's order: convolutions (O, kh, kw, I), linear layers (K, O)."""
    if weight.ndim == 4:
        return weight.transpose(0, 2, 3, 1)
    if name == "hidden":
        weight = weight.reshape(-1, *MAP).transpose(0, 2, 3, 1).reshape(len(weight), -1)
    return weight.T


def zeros_in_file(model: qat.PreparedModel, folder: Path) -> dict[str, np.ndarray]:
    return {
        node.name: np.asarray(node.weight) == 0 for node in exported(model, folder).nodes if hasattr(node, "weight")
    }


def masks(model: nn.Module) -> dict[str, np.ndarray]:
    found = {name: mask_of(model, f"{name}.weight") for name in LAYERS}
    return {name: mask.numpy() for name, mask in found.items() if mask is not None}


def trained(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> None:
    model.train()
    for step in range(steps):
        optimizer.zero_grad()
        model(images(6, 10 + step)).square().mean().backward()
        optimizer.step()


def momentum(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.01)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.75])
def test_the_smallest_weights_go(share: float) -> None:
    model = randomized(Mixed())
    before = {name: model.get_parameter(f"{name}.weight").detach().clone() for name in LAYERS}
    qat.prune_weights(model, share, layers="*[!x]")  # all but "mix"
    found = masks(model)
    assert set(found) == set(LAYERS) - {"mix"}
    for name, kept in found.items():
        magnitude = before[name].abs().numpy()
        assert (~kept).sum() == int(share * kept.size)
        assert magnitude[~kept].max(initial=0) <= magnitude[kept].min()
        np.testing.assert_array_equal(
            model.get_parameter(f"{name}.weight").detach().numpy(), np.where(kept, before[name].numpy(), 0)
        )
    assert list(dict(model.named_parameters())) == list(dict(randomized(Mixed()).named_parameters()))


def test_zeros_through_float_training_and_qat(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = randomized(Mixed())
    optimizer = momentum(model)
    trained(model, optimizer, 2)  # the momentum that would move a pruned weight
    qat.prune_weights(model, 0.6)
    trained(model, optimizer, 3)
    expected = masks(model)
    prepared = qat.prepare(model, images(8))
    assert not any(isinstance(module, qat.PreparedModel) for module in model.modules())
    trained(prepared, momentum(prepared), 3)
    zeros = zeros_in_file(prepared, tmp_path)
    for name, kept in expected.items():
        assert zeros[name][~stored(name, kept)].all()
        assert 0.5 < (~kept).mean() <= 0.6
        if name != "head":
            assert not zeros[name].all() and (prepared.get_parameter(f"{name}.weight") != 0).sum() > 0
    assert_equal_codes(prepared, images(4, 99), tmp_path)
    model(images(2))  # in front of each pass the float model clears what the last step of the optimizer left
    for name, kept in expected.items():
        assert (model.get_parameter(f"{name}.weight").detach().numpy()[~kept] == 0).all()


def test_the_optimizer_alone_would_move_them() -> None:
    model = randomized(Mixed())
    optimizer = momentum(model)
    trained(model, optimizer, 2)
    qat.prune_weights(model, 0.6)
    trained(model, optimizer, 1)
    assert any(
        (model.get_parameter(f"{name}.weight").detach().numpy()[~kept] != 0).any()
        for name, kept in masks(model).items()
    )


def test_prepared_models_are_pruned_further(tmp_path: Path) -> None:
    torch.manual_seed(0)
    prepared = qat.prepare(randomized(Mixed()), images(8), settings={"*": {"scale": "learned"}})
    optimizer = momentum(prepared)
    trained(prepared, optimizer, 2)
    qat.prune_weights(prepared, 0.3)
    first = masks(prepared)
    trained(prepared, optimizer, 2)
    qat.prune_weights(prepared, 0.6)
    trained(prepared, optimizer, 1)
    zeros = zeros_in_file(prepared, tmp_path)
    for name, kept in masks(prepared).items():
        assert not (kept & ~first[name]).any() and (~kept).sum() == int(0.6 * kept.size)
        assert zeros[name][~stored(name, kept)].all()


@pytest.mark.parametrize("options", [{"adaround": True}, {"equalize": True, "bias_correction": True}])
def test_zeros_through_post_training_quantization(options: dict[str, bool], tmp_path: Path) -> None:
    model = randomized(Mixed())
    qat.prune_weights(model, 0.5)
    prepared = qat.prepare(model, images(8), Arithmetic(weight_bits=3))
    if options.pop("adaround", False):
        qat.calibrate(prepared, [images(8)], adaround=qat.AdaRound(steps=20, learning_rate=0.5))
        assert any(layer.weight.offsets is not None for layer in prepared.quantizers if hasattr(layer, "weight_name"))
    else:
        qat.calibrate(prepared, [images(8)], **options)
    zeros = zeros_in_file(prepared, tmp_path)
    for name, kept in masks(model).items():
        assert zeros[name][~stored(name, kept)].all(), name


@pytest.mark.parametrize("center", [False, True])
def test_zeros_under_a_guarantee(center: bool, tmp_path: Path) -> None:
    model = randomized(Mixed())
    qat.prune_weights(model, 0.5)
    prepared = qat.prepare(model, images(8), Arithmetic(accumulator_bits=14, activation_bits=5))
    qat.guarantee(prepared, center=center)
    trained(prepared, momentum(prepared), 1)
    zeros = zeros_in_file(prepared, tmp_path)
    for name, kept in masks(prepared).items():
        assert zeros[name][~stored(name, kept)].all(), name
    graph = exported(prepared, tmp_path)
    assert all(certificate.safe for certificate in certify(graph).values())


@pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 4), (1, 3), (5, 8)])
def test_n_of_m_along_the_accumulation(n: int, m: int, tmp_path: Path) -> None:
    model = randomized(Mixed())
    before = {name: model.get_parameter(f"{name}.weight").detach().numpy().copy() for name in LAYERS}
    qat.prune_pattern(model, images(2), n, m)
    prepared = qat.prepare(model, images(8))
    trained(prepared, momentum(prepared), 2)
    zeros = zeros_in_file(prepared, tmp_path)
    for name, kept in masks(model).items():
        assert zeros[name][~stored(name, kept)].all()
        walk, magnitude = stored(name, kept), stored(name, np.abs(before[name]))
        rows = walk.T if name in ("hidden", "head") else walk.reshape(len(walk), -1)
        sizes = (magnitude.T if name in ("hidden", "head") else magnitude).reshape(rows.shape)
        for row, size in zip(rows, sizes, strict=True):
            for start in range(0, len(row), m):
                group, values = row[start : start + m], size[start : start + m]
                assert group.sum() == min(n, len(group))
                assert values[group].min() >= values[~group].max(initial=0)


def test_states_bring_their_masks(tmp_path: Path) -> None:
    model = randomized(Mixed())
    pruned = copy.deepcopy(model)
    qat.prune_weights(pruned, 0.5)
    source, target = qat.prepare(pruned, images(8)), qat.prepare(randomized(Mixed(), 1), images(8, 1))
    target.load_state_dict(source.state_dict())
    assert torch.equal(target(images(4, 5)), source(images(4, 5)))
    for name, kept in masks(source).items():
        np.testing.assert_array_equal(masks(target)[name], kept)
    target.load_state_dict(qat.prepare(model, images(8)).state_dict())
    assert not masks(target)


def test_bad_arguments() -> None:
    for share in (-0.1, 1, 1.0, float("nan"), True, "half"):
        with pytest.raises(ValueError, match="share must be a number from 0 to below 1, not"):
            qat.prune_weights(nn.Linear(2, 2), share)  # type: ignore[arg-type]
    model, message = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), r"linear layer \(0, 1\), not 'head'"
    with pytest.raises(ValueError, match=message):
        qat.prune_weights(model, 0.5, layers="head")
    with pytest.raises(ValueError, match=message):
        qat.prune_pattern(model, torch.zeros(1, 2), layers="head")
    with pytest.raises(ValueError, match=message):
        qat.prune_channels(model, torch.zeros(1, 2), 0.5, layers="head")
    with pytest.raises(ValueError, match="n must be an integer from 1 to 4, not 5"):
        qat.prune_pattern(nn.Linear(2, 2), torch.zeros(1, 2), 5, 4)
    with pytest.raises(ValueError, match="m must be an integer from 1 to 65536, not 0"):
        qat.prune_pattern(nn.Linear(2, 2), torch.zeros(1, 2), 1, 0)
