"""BatchNorm's statistics of a prepared model, and the scales that follow them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import qat
from emulator import Arithmetic
from qat.layers.layer import Step
from tests.qat.networks import Mixed, images


@pytest.mark.parametrize("arithmetic", [Arithmetic(), Arithmetic(accumulator_bits=12), Arithmetic(weight_bits=2)])
def test_statistics_are_those_of_the_contract(arithmetic: Arithmetic) -> None:
    """Section 7: mean and variance of the integer sums, by sx · ‖w‖ / ‖codes‖ and the sign of BatchNorm's factor."""
    torch.manual_seed(0)
    float_model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, momentum=1.0))
    with torch.no_grad():
        float_model[1].weight.copy_(torch.tensor([1.0, 0.3, -0.5, 2.0]))
    prepared = qat.prepare(float_model, images(8), arithmetic).eval()
    x = images(8, 1)
    quantized = prepared.quantizers.input(x)
    centered = quantized.centered.detach().double().numpy()
    step = Step(prepared)
    codes = prepared.quantizers.layers["0"].integers(quantized, step)[0].detach().double().numpy()
    weight, bias = (t.detach().double().numpy() for t in float_model[0].parameters())
    prepared.train()(x)

    windows = np.lib.stride_tricks.sliding_window_view(centered, (3, 3), (2, 3))
    sums = np.einsum("nchwij,ocij->onhw", windows, codes).reshape(4, -1)
    lengths = [np.sqrt(np.square(w).reshape(4, -1).sum(1)) for w in (weight, codes)]
    unit = quantized.scale.item() * lengths[0] / lengths[1] * np.array([1, 1, -1, 1])
    mean, variance = sums.mean(1) * unit + bias, sums.var(1, ddof=1) * unit**2
    for name, expected in (("1.running_mean", mean), ("1.running_var", variance)):
        np.testing.assert_allclose(prepared.get_buffer(name).numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("arithmetic", [Arithmetic(), Arithmetic(accumulator_bits=12)])
def test_statistics_are_those_of_batch_norm(momentum: float | None, arithmetic: Arithmetic) -> None:
    torch.manual_seed(0)
    float_model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, momentum=momentum), nn.ReLU())
    with torch.no_grad():
        # One channel without codes, and one turned over.
        float_model[1].weight.copy_(torch.tensor([1.0, 0.0, -0.5, 2.0]))
    x = images(8, 1)
    prepared = qat.prepare(float_model, images(8), arithmetic)
    assert arithmetic.accumulator_bits == 32 or qat.overflow_counts(prepared, x)["0"].sum() > 100
    prepared.train()(x)
    float_model.train()(prepared.quantizers.input(x).real.detach())
    for name, buffer in float_model.named_buffers():
        torch.testing.assert_close(prepared.get_buffer(name), buffer, rtol=0.01, atol=0.005)


def test_statistics_do_not_feed_on_clipped_weights() -> None:
    torch.manual_seed(0)
    float_model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    x = images(64, 1)
    prepared = qat.prepare(float_model, x).train()
    scale = prepared.quantizers.layers["0"].weight.scale
    scale.set(scale.value / 8)
    for _ in range(200):
        prepared(x)
    variance = float_model[0](x).transpose(0, 1).flatten(1).var(1)
    assert (prepared.get_buffer("1.running_var") / variance).log().abs().max() < 0.7


@pytest.mark.parametrize("scale", ["free", "power_of_two"])
def test_weights_scales_follow_the_statistics_of_the_same_step(scale: str) -> None:
    prepared = qat.prepare(Mixed(), images(8), settings={"*": {"scale": scale}}).train()
    for step in range(3):
        prepared(images(16, step))
        for name in ("features.0", "features.4", "hidden"):
            layer = prepared.quantizers.layers[name.replace(".", "/")]
            weight, value = layer.folded(prepared)[0].detach(), layer.weight.scale.value
            largest = weight.flatten(1).abs().amax(1) / 127
            assert torch.equal(value, torch.exp2(largest.log2().ceil()) if scale == "power_of_two" else largest), name


def test_a_frozen_batch_norm_stays() -> None:
    prepared = qat.prepare(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)), images(8))
    prepared.train()
    prepared.get_submodule("1").eval()
    before = prepared.get_buffer("1.running_mean").clone()
    prepared(images(8))
    assert torch.equal(prepared.get_buffer("1.running_mean"), before)
