"""torch.compile around a prepared model: the same bits, in training and in evaluation."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

import qat
from tests.qat.networks import Pooled, images, randomized


def trained(prepared: qat.PreparedModel, forward: nn.Module) -> list[Tensor]:
    """Values of three training steps and of an evaluation, and the state behind them."""
    optimizer = torch.optim.SGD(prepared.parameters(), lr=1e-3)
    prepared.train()
    torch.manual_seed(0)  # of the dropout
    values = []
    for step in range(3):
        optimizer.zero_grad()
        y = forward(images(4 + step, step))
        y.square().mean().backward()
        optimizer.step()
        values.append(y.detach())
    prepared.eval()
    return [*values, forward(images(7, 9)).detach(), *prepared.state_dict().values()]


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # torch's compiler looks at it
@pytest.mark.parametrize("scale", ["learned_log", "free"])
def test_the_same_bits(scale: str) -> None:
    prepared = qat.prepare(randomized(Pooled()), images(8), settings={"*": {"scale": scale}})
    twin = copy.deepcopy(prepared)
    torch._dynamo.reset()
    found, expected = trained(prepared, torch.compile(prepared, backend="aot_eager")), trained(twin, twin)
    assert len(found) == len(expected) and len(found[0].unique()) > 5
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
