"""Parameters, buffers and constants added to activations and multiplied with them; BatchNorm where none can fold it."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import qat
from tests.qat.networks import assert_equal_codes, images, randomized
from tests.qat.networks.applied import MAP, SEQUENCE, VECTOR, Applied, check_applied

Function = Callable[[Any, Tensor], Tensor]
VARIANTS: dict[str, tuple[Function, tuple[int, ...], list[int]]] = {
    "layer scale": (lambda m, x: x * m.p.view(4, 1, 1), MAP, [4]),
    "layer scale of a sequence's length": (lambda m, x: x * m.p, SEQUENCE, [9]),
    "channel bias": (lambda m, x: x + m.p, MAP, [4, 1, 1]),
    "position embedding": (lambda m, x: x + m.p, SEQUENCE, [1, 4, 9]),
    "rows and columns": (lambda m, x: x + m.p, MAP, [7, 6]),
    "a part of an embedding": (lambda m, x: x + m.p[:, 2:11], SEQUENCE, [1, 20]),
    "less": (lambda m, x: x - m.p, VECTOR, [10]),
    "less from": (lambda m, x: F.relu(m.p - x), VECTOR, [10]),
    "over": (lambda m, x: x / (1 + m.p.exp()), MAP, [4, 1, 1]),
    "computed": (lambda m, x: x * torch.softmax(m.p, 0).view(1, 4, 1, 1), MAP, [4]),
    "more channels by broadcasting": (lambda m, x: x[:, :1] * m.p, MAP, [5, 1, 1]),
    "one number": (lambda m, x: torch.sigmoid(x * m.p) + m.p, MAP, []),
    "one number in a vector": (lambda m, x: m.p - x, MAP, [1]),
    "both": (lambda m, x: x * m.p + m.p, VECTOR, [10]),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_parameters(name: str, tmp_path: Path) -> None:
    function, shape, size = VARIANTS[name]
    torch.manual_seed(0)
    check_applied(Applied(function, p=torch.randn(size)), shape, tmp_path)


def test_constants_and_buffers(tmp_path: Path) -> None:
    grid = torch.arange(6.0) / 6
    model = Applied(
        lambda m, x: (x + torch.arange(6.0) / 6) * torch.tensor([1.0, 2.0, 3.0, 4.0]).view(4, 1, 1) * m.mask
    )
    model.register_buffer("mask", torch.rand(7, 6, generator=torch.Generator().manual_seed(0)) > 0.5)
    check_applied(model, MAP, tmp_path)
    prepared = qat.prepare(Applied(lambda m, x: x * grid), images(2, shape=MAP))
    again = pickle.loads(pickle.dumps(copy.deepcopy(prepared.quantizers.layers))), prepared.quantizers.layers
    weights = [layer.floats(prepared)[0] for layers in again for layer in layers.values() if hasattr(layer, "floats")]
    assert torch.equal(*weights) and torch.equal(weights[0].flatten(), grid)


def test_a_parameter_that_is_trained_moves_the_codes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    x, function = images(16, shape=MAP), lambda m, x: torch.tanh(x * m.scale) * m.gain + m.shift
    target = function(Applied(function, scale=torch.tensor(0.4), gain=torch.ones(6), shift=torch.ones(4, 1, 1)), x)
    model = Applied(function, scale=torch.tensor(0.8), gain=torch.rand(6), shift=torch.randn(4, 1, 1))
    prepared = qat.prepare(model, x)
    optimizer = torch.optim.Adam(prepared.train().parameters(), lr=0.05)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = (prepared(x) - target.detach()).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.05 * losses[0]
    assert_equal_codes(prepared, x, tmp_path)


def test_weights_made_of_parameters(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Applied(
        lambda m, x: F.linear(F.conv2d(x, m.w * m.g.exp().view(3, 1, 1, 1), m.g.abs()).flatten(2), m.r.softmax(1)),
        w=torch.randn(3, 4, 2, 2), g=torch.randn(3), r=torch.randn(5, 30),
    )  # fmt: skip
    check_applied(model, MAP, tmp_path)
    normed = nn.utils.parametrizations.weight_norm(nn.Conv2d(4, 3, 3))
    check_applied(nn.Sequential(normed, nn.BatchNorm2d(3), nn.ReLU()), MAP, tmp_path)


NORMS: dict[str, tuple[Function, tuple[int, ...], list[str]]] = {
    "read twice": (lambda m, x: (lambda y: m.norm(y) + y)(m.conv(x)), MAP, ["conv", "norm", "add"]),
    "in front of a convolution": (lambda m, x: m.conv(F.relu(m.norm(x))), MAP, ["norm", "conv"]),
    "alone": (lambda m, x: m.norm(x), MAP, ["norm"]),
    "behind an activation": (lambda m, x: F.relu6(m.norm(torch.tanh(m.conv(x)))), MAP, ["conv", "tanh", "norm"]),
    "twice": (lambda m, x: m.norm(m.norm(m.conv(x))), MAP, ["conv", "norm_1"]),
    "of a sequence": (lambda m, x: m.line(x), SEQUENCE, ["line"]),
    "of a vector": (lambda m, x: m.vector(x), VECTOR, ["vector.column", "vector.norm", "vector"]),
    "of samples": (lambda m, x: m.instance(x), MAP, ["instance"]),
    "of samples, folded": (lambda m, x: m.instance(m.conv(x)), MAP, ["conv"]),
}


class Normed(Applied):
    """A model with norms of all kinds, with statistics that are not zero."""

    def __init__(self, function: Function) -> None:
        instance = nn.InstanceNorm2d(4, affine=True, track_running_stats=True)
        super().__init__(
            function, conv=nn.Conv2d(4, 4, 3), norm=nn.BatchNorm2d(4), line=nn.BatchNorm1d(4),
            vector=nn.BatchNorm1d(10), instance=instance,
        )  # fmt: skip
        randomized(self)
        instance.running_mean.copy_(torch.tensor([0.1, -0.2, 0.3, 0.0]))
        instance.running_var.copy_(torch.tensor([0.5, 2.0, 1.0, 0.1]))
        for parameter in self.parameters():
            parameter.requires_grad_(False)


@pytest.mark.parametrize("name", NORMS)
def test_norms(name: str, tmp_path: Path) -> None:
    function, shape, expected = NORMS[name]
    prepared = check_applied(Normed(function), shape, tmp_path)
    assert [layer.name for layer in prepared.quantizers] == expected


@pytest.mark.parametrize("kind", [lambda: nn.BatchNorm2d(4), lambda: nn.BatchNorm2d(4, affine=False)])
def test_statistics_of_a_norm_alone_follow_the_batches(kind: Callable[[], nn.BatchNorm2d]) -> None:
    x = images(64, shape=MAP) * torch.tensor([1.0, 2.0, 0.5, 3.0]).view(4, 1, 1) + 0.5
    prepared, norm = qat.prepare(nn.Sequential(kind()).eval(), x).train(), kind()
    for _ in range(30):
        prepared(x)
        norm(x)
    found = prepared.get_submodule("0")
    torch.testing.assert_close(found.running_mean, norm.running_mean, rtol=0.02, atol=0.02)
    torch.testing.assert_close(found.running_var, norm.running_var, rtol=0.02, atol=0.02)


def test_statistics_of_an_instance_norm_stay() -> None:
    x = images(8, shape=MAP)
    prepared = qat.prepare(nn.Sequential(nn.InstanceNorm2d(4, track_running_stats=True)).eval(), x).train()
    prepared(x)
    assert torch.equal(prepared.get_submodule("0").running_mean, torch.zeros(4))
