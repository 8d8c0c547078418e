"""Removed channels: which ones, that all modules agree, and that nothing else of the function changes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import qat
from tests.qat.networks import Mixed, assert_equal_codes, images, randomized


class Separable(nn.Module):
    """A depthwise block, a residual that no channel may leave, and a head behind a Flatten."""

    def __init__(self) -> None:
        super().__init__()
        self.expand = nn.Conv2d(3, 8, 1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.project = nn.Conv2d(8, 3, 1)
        self.last = nn.Conv2d(3, 4, 3, stride=2)
        self.head = nn.Linear(4 * 3 * 2, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.project(F.relu(self.depthwise(F.relu(self.norm(self.expand(x))))))
        return self.head(F.max_pool2d(F.relu(self.last(x)), 1).flatten(1))


def whole_numbers(model: nn.Module) -> nn.Module:
    """Weights and biases in eighths, and BatchNorm's factors powers of two: float sums are exact."""
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
                module.eps = 2**-10
                module.running_var.fill_(1 - 2**-10)
                module.running_mean.mul_(8).round_().div_(8)
        for parameter in model.parameters():
            parameter.mul_(8).round_().div_(8)
    return model


def test_masked_and_removed_are_one_function() -> None:
    x = images(4).mul(4).round() / 4
    for model, layers in ((Mixed(), "[!f]*"), (Separable(), "*")):
        model = whole_numbers(randomized(model))
        if isinstance(model, Mixed):
            model.features[7] = nn.Identity()  # an average is a quotient
            model.hidden = nn.Linear(12 * 4 * 3, 7)
            whole_numbers(model)
        removed = qat.prune_channels(model, x, 0.5, layers=layers)
        masked = qat.prune_channels(model, x, 0.5, layers=layers, remove=False)
        assert torch.equal(removed(x), masked(x))
        assert not torch.equal(removed(x), model(x))
        # Training moves the masked model's other channels only.
        optimizer = torch.optim.AdamW(masked.parameters(), lr=0.1)
        for _ in range(2):
            optimizer.zero_grad()
            masked.train()(x).square().mean().backward()
            optimizer.step()
        masked(x)
        rows = {
            name: (weight.flatten(1) == 0).all(1).sum() for name, weight in masked.named_parameters() if weight.ndim > 1
        }
        expected = {"mix.weight": 6, "hidden.weight": 3} if isinstance(model, Mixed) else {
            "expand.weight": 4, "depthwise.weight": 4, "last.weight": 2
        }  # fmt: skip
        assert {name: int(count) for name, count in rows.items() if count} == expected


def test_sizes_and_the_smallest_go(tmp_path: Path) -> None:
    model = randomized(Separable())
    norms = (
        model.norm.weight / (model.norm.running_var + model.norm.eps).sqrt()
    ).abs() * model.expand.weight.abs().sum((1, 2, 3))
    kept = sorted(norms.argsort()[3:].tolist())
    small = qat.prune_channels(model, images(4), 0.45, layers="expand")
    assert torch.equal(small.expand.weight, model.expand.weight[kept])
    assert torch.equal(small.norm.running_mean, model.norm.running_mean[kept])
    assert torch.equal(small.depthwise.weight, model.depthwise.weight[kept])
    assert torch.equal(small.project.weight, model.project.weight[:, kept])
    assert (small.expand.out_channels, small.norm.num_features) == (5, 5)
    assert (small.depthwise.in_channels, small.depthwise.out_channels, small.depthwise.groups) == (5, 5, 5)
    assert small.project.in_channels == 5 and model.expand.out_channels == 8
    assert_equal_codes(qat.prepare(small, images(8)), images(4, 7), tmp_path)
    everything = qat.prune_channels(model, images(4), 0.99)
    assert everything.expand.out_channels == 1 and everything.last.out_channels == 1
    assert everything.head.in_features == 6  # one channel of 3 × 2
    assert (everything.project.out_channels, everything.head.out_features) == (3, 5)


def test_masks_move_with_the_channels() -> None:
    model = randomized(Separable())
    qat.prune_weights(model, 0.25, layers="project")
    small = qat.prune_channels(model, images(4), 0.5)
    assert small.project.weight_mask.shape == small.project.weight.shape == (3, 4, 1, 1)
    assert ((small.project.weight == 0) == ~small.project.weight_mask).all()
    small(images(2))


def test_what_cannot_lose_channels() -> None:
    class Fixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 4, 1), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.second(F.relu(self.first(x)).mean((2, 3)).view(-1, 4))

    with pytest.raises(ValueError, match="model must not depend on its numbers of channels: "):
        qat.prune_channels(Fixed(), images(2), 0.5)
    with pytest.raises(ValueError, match="model must be a float model, not one that is prepared"):
        qat.prune_channels(qat.prepare(Separable(), images(2)), images(2), 0.5)
    shared = nn.Linear(6, 6)
    twice = nn.Sequential(shared, nn.ReLU(), shared)
    assert qat.prune_channels(twice, images(2, shape=(6,)), 0.5)[0].out_features == 6
