"""The gradient of a layer's error on all windows at once is autograd's of the whole layer."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import qat
from qat.calibration.reconstruction import reconstruction
from qat.layers.weighted import Weighted

LAYERS = {
    "convolution": (nn.Conv2d(4, 6, (3, 2), (1, 2), padding=(2, 1), dilation=(2, 1)), (4, 7, 6)),
    "two groups": (nn.Conv2d(4, 6, 3, groups=2), (4, 5, 5)),
    "depthwise": (nn.Conv2d(4, 4, 3, padding=1, groups=4), (4, 5, 4)),
    "uneven padding": (nn.Conv2d(3, 2, 4, padding="same"), (3, 5, 5)),
    "sequence": (nn.Conv1d(3, 5, 3, stride=2), (3, 9)),
    "linear": (nn.Linear(6, 3), (6,)),
    "rows": (nn.Linear(6, 3), (4, 6)),
    "transposed": (nn.ConvTranspose2d(3, 2, 3, stride=2), (3, 4, 4)),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.filterwarnings("ignore:Using padding='same'")
def test_gradient(name: str) -> None:
    module, shape = LAYERS[name]
    torch.manual_seed(1)
    model = nn.Sequential(module, nn.ReLU())
    inputs = torch.randn(8, *shape)
    prepared = qat.prepare(model, (inputs[:1],))
    (layer,) = (layer for layer in prepared.quantizers if isinstance(layer, Weighted))
    weight, bias = (part.detach() for part in layer.folded(prepared))
    wanted = layer.clamped(layer.plain(inputs + 0.1, weight, bias))
    given, generator = weight + 0.05 * torch.randn_like(weight), torch.Generator().manual_seed(0)
    errors = reconstruction(layer, weight, bias, inputs, wanted, 1 << 20, generator)
    if name == "transposed":  # whole samples, with repetitions: all are the same one
        errors = reconstruction(layer, weight, bias, inputs[:1], wanted[:1], 8, generator)
        inputs, wanted = inputs[:1], wanted[:1]
    leaf = given.clone().requires_grad_()
    error = (layer.clamped(layer.plain(inputs, leaf, bias)) - wanted).square().mean()
    (expected,) = torch.autograd.grad(error, leaf)
    assert expected.abs().max() > 0.01
    torch.testing.assert_close(errors.gradient(given, generator), expected, rtol=1e-4, atol=1e-6)


def test_a_step_sees_some_windows_and_all_steps_see_all() -> None:
    module = nn.Linear(3, 2)
    prepared = qat.prepare(nn.Sequential(module), (torch.zeros(1, 3),))
    (layer,) = prepared.quantizers
    assert isinstance(layer, Weighted)
    # Each sample has a value of its own, which its gradient shows.
    inputs, generator = torch.diag(torch.arange(1.0, 4.0)), torch.Generator().manual_seed(0)
    errors = reconstruction(layer, module.weight, torch.zeros(2), inputs, torch.zeros(3, 2), 2, generator)
    seen: list[Tensor] = [errors.gradient(torch.ones(2, 3), generator) for _ in range(20)]
    assert {int((gradient[0] != 0).sum()) for gradient in seen} == {2}
    assert torch.stack(seen).sum(0).count_nonzero() == 6
