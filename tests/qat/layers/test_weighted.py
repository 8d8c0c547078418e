"""Convolutions and linear layers: folding, and the gradient of the float layer on the dequantized values."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import qat
from emulator import Arithmetic
from qat.layers.layer import Step
from qat.scales.scale import LOG_GAIN
from tests.qat.networks import images, randomized


def test_batch_norm_is_folded_with_its_running_statistics() -> None:
    model = randomized(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()))
    prepared = qat.prepare(model, images(2))
    x = images(4)
    for mode in (True, False):
        prepared.train(mode)
        torch.testing.assert_close(prepared.quantizers.layers["0"].real([x], prepared), model(x))


def test_gradients_are_those_of_the_dequantized_float_layer() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.ReLU())
    x = images(8)
    prepared = qat.prepare(model, x, settings={"*": {"scale": "free"}}).eval()
    result = prepared(x)
    outer = torch.randn_like(result)
    result.backward(outer)

    layer = prepared.quantizers.layers["0"]
    real = prepared.quantizers.input(x).real.detach()
    codes, scale = layer.weight(model[0].weight.detach())
    weight = (codes * scale.view(-1, 1, 1, 1)).requires_grad_()
    bias = model[0].bias.detach().clone().requires_grad_()
    before = F.conv2d(real, weight, bias, 2, 1)
    # The gradient passes where the code before the clamp is a legal one.
    code = (before / layer.output.scale.value).round()
    (before * ((code >= 0) & (code <= 255))).backward(outer)
    for found, expected in (
        (prepared.get_parameter("0.weight").grad, weight.grad),
        (prepared.get_parameter("0.bias").grad, bias.grad),
    ):
        assert found is not None and expected is not None
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_gradients_reach_the_input() -> None:
    prepared = qat.prepare(nn.Conv2d(3, 4, 3), images(2)).eval()
    x = images(2).requires_grad_()
    prepared(x).sum().backward()
    assert x.grad is not None and (x.grad != 0).float().mean() > 0.9


def test_what_an_activation_function_clamps_is_constant() -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.ReLU6())
    nn.init.ones_(model[0].weight)
    x = torch.full((1, 1, 2, 2), 8.0)
    prepared = qat.prepare(model, x).eval()
    scale = prepared.quantizers.layers["0"].output.scale
    scale.set(torch.tensor(0.125))
    result = prepared(x)
    assert result.tolist() == torch.full((1, 1, 2, 2), 6.0).tolist()
    result.sum().backward()
    # 6 stays 6 under any scale of the output; with the format's own end it would grow with it.
    assert scale.log_ratio.grad.item() == pytest.approx(0, abs=1e-6)
    assert prepared.get_parameter("0.weight").grad.item() == 0


@pytest.mark.parametrize(("value", "expected"), [(-8.0, 0.0), (8.0, -6 / 0.125)])
def test_only_above_the_upper_bound_does_a_code_have_a_gradient_to_the_scale(value: float, expected: float) -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.ReLU6())
    nn.init.ones_(model[0].weight)
    prepared = qat.prepare(model, torch.tensor([-8.0, 8.0]).view(2, 1, 1, 1)).eval()
    scale = prepared.quantizers.layers["0"].output.scale
    scale.set(torch.tensor(0.125))
    x = torch.full((1, 1, 1, 1), value)
    code = prepared.quantizers({"input": x}, Step(prepared))["0"].centered
    assert code.item() == (0 if value < 0 else 48)
    code.backward()
    # The real constant 6 is the code 6 / scale; what lies below the lower bound is the zero point under any scale.
    assert scale.log_ratio.grad.item() * LOG_GAIN == pytest.approx(expected)
    assert scale.log_ratio.grad.item() != 0 or value < 0
    assert prepared.get_parameter("0.weight").grad.item() == 0


def test_saturated_sums_are_pulled_back_only() -> None:
    model = nn.Sequential(nn.Linear(4, 2, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, 1.0, 1.0, 1.0], [0.01, 0.0, 0.0, 0.0]]))
    x = torch.tensor([[1.0, 1.0, 1.0, 1.0], [0.5, 0.0, 0.0, 0.0]])
    arithmetic = Arithmetic(accumulator_bits=16)
    prepared = qat.prepare(model, x, arithmetic).eval()
    assert qat.overflow_counts(prepared, x)["0"].tolist() == [1, 0]
    for outer, expected in ((1.0, [[1.5, 1.0, 1.0, 1.0]]), (-1.0, [[-0.5, 0.0, 0.0, 0.0]])):
        prepared.zero_grad()
        prepared(x)[:, :1].backward(torch.full((2, 1), outer))
        grad = prepared.get_parameter("0.weight").grad
        assert grad is not None
        torch.testing.assert_close(grad[:1], torch.tensor(expected), rtol=0.01, atol=0.01)
