"""Quantizers: the host's rounding, ranges and zero points, weights, biases, and the gradients of each."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal

from emulator import Arithmetic, clamp_bias, quantize, quantize_weight
from emulator import quantize_bias as integer_bias
from qat.scales.quantizers import ActivationQuantizer, quantize_bias
from qat.scales.scale import LOG_GAIN
from qat.scales.settings import LayerSettings
from qat.scales.weight_quantizers import WeightQuantizer


def activation(low: float, high: float, bits: int = 8, **settings: object) -> ActivationQuantizer:
    quantizer = ActivationQuantizer(LayerSettings(activation_bits=bits, **settings), Arithmetic())  # type: ignore[arg-type]
    quantizer.observe(torch.tensor([low, high]))
    quantizer.settle()
    return quantizer


@pytest.mark.parametrize(
    ("low", "high", "bits", "scale", "zero_point"),
    [
        (0.0, 255.0, 8, 1.0, -128),  # after a ReLU: full range
        (3.0, 255.0, 8, 1.0, -128),  # 0 always has a code
        (-255.0, -3.0, 8, 1.0, 127),
        (-128.0, 127.0, 8, 1.0, 0),
        (-1.0, 6.5, 4, 0.5, -6),
        (0.0, 0.0, 8, 1.0, -128),
    ],
)
def test_ranges(low: float, high: float, bits: int, scale: float, zero_point: int) -> None:
    quantizer = activation(low, high, bits)
    assert quantizer.scale.value.item() == scale and int(quantizer.zero_point) == zero_point


@pytest.mark.parametrize("bits", [8, 5, 2])
def test_values_are_those_of_the_host(bits: int) -> None:
    quantizer = activation(-0.37, 2.41, bits)
    scale, zero_point = quantizer.scale.value.item(), int(quantizer.zero_point)
    ties = (torch.arange(-400, 400) + 0.5) * scale
    x = torch.cat([ties, torch.nextafter(ties, ties + 1), torch.randn(10_000) * 2, torch.tensor([math.inf, -math.inf])])
    result = quantizer(x)
    expected = quantize(x.numpy(), scale, zero_point, *quantizer.code_range)
    assert_array_equal(result.codes.numpy(), expected)
    assert result.codes.unique().numel() == 1 << bits


@pytest.mark.parametrize("observer", ["min_max", "mse"])
@pytest.mark.parametrize("scale", ["free", "power_of_two"])
@pytest.mark.parametrize("bits", [8, 3])
def test_weights_with_zero_points(bits: int, scale: str, observer: str) -> None:
    settings = LayerSettings(symmetric_weights=False, scale=scale, weight_observer=observer)
    quantizer = WeightQuantizer(4, settings, Arithmetic(weight_bits=bits))
    weight = torch.randn(4, 50, generator=torch.Generator().manual_seed(0))
    weight[0], weight[1], weight[2] = weight[0].abs() + 3, -weight[1].abs(), 0
    quantizer.settle(weight)
    centered, scales = quantizer(weight)
    zeros, (least, most) = quantizer.zero_points, Arithmetic(weight_bits=bits).weight_range
    assert zeros is not None and zeros[0] == least
    assert zeros[1] == most or scale == "power_of_two"
    assert least <= int(zeros.min()) and int(zeros.max()) <= most
    codes = centered + zeros.view(-1, 1)
    assert least <= codes.min() and codes.max() <= most
    exact = np.clip(np.rint(weight.numpy() / scales.detach().numpy()[:, None]) + zeros.numpy()[:, None], least, most)
    assert_array_equal(codes.detach().numpy(), exact)
    if scale == "free" and observer == "min_max":
        widths = weight.clamp(min=0).amax(1) - weight.clamp(max=0).amin(1)
        assert scales.tolist()[:2] == pytest.approx((widths[:2] / (most - least)).tolist())
        assert codes[0].max() == most and codes[1].min() == least
    assert not centered[2].any()
    state = quantizer.state_dict()
    assert set(state) == {*WeightQuantizer(4, LayerSettings(scale=scale), Arithmetic()).state_dict(), "zero_point"}
    state["zero_point"] = state["zero_point"] + 300
    with pytest.raises(RuntimeError, match=f"zero_point must be from {least} to {most}, not"):
        quantizer.load_state_dict(state)


def test_weights_with_zero_points_have_the_gradients_of_clamped_ones() -> None:
    quantizer = WeightQuantizer(1, LayerSettings(symmetric_weights=False, scale="learned"), Arithmetic(weight_bits=4))
    quantizer.settle(torch.tensor([[0.0, 15.0]]))
    weight = torch.tensor([[-1.0, 0.4, 7.5, 14.0, 16.0]], requires_grad=True)
    centered, _ = quantizer(weight)
    assert centered.tolist() == [[0, 0, 8, 14, 15]]
    centered.sum().backward()
    assert weight.grad is not None and weight.grad.tolist() == [[0, 1, 1, 1, 0]]


def test_rounding_comes_before_the_zero_point() -> None:
    # torch.quantize_per_tensor adds the zero point first: ties at an odd one go the other way.
    quantizer = activation(-127.0, 128.0)
    assert int(quantizer.zero_point) == -1
    x = torch.tensor([0.5, 1.5, 2.5])
    assert quantizer(x).codes.tolist() == [-1, 1, 1]
    fake = torch.fake_quantize_per_tensor_affine(x, 1.0, -1, -128, 127)
    assert torch.equal(quantizer(x).real.detach(), fake)


def test_limits_of_an_activation_function() -> None:
    quantizer = activation(-1.0, 6.5, 8)
    scale, zero_point = quantizer.scale.value, int(quantizer.zero_point)
    assert quantizer.limits((0.0, math.inf), scale) == (zero_point, zero_point, 127)
    assert quantizer.limits((0.0, 6.0), scale) == (zero_point, zero_point, zero_point + round(6.0 / scale.item()))
    assert quantizer.limits((-100.0, 100.0), scale) == (zero_point, -128, 127)


def test_gradients_of_values_and_of_the_scale() -> None:
    quantizer = activation(0.0, 255.0)
    x = torch.tensor([-3.0, 0.4, 7.3, 254.9, 260.0], requires_grad=True)
    quantizer(x).real.backward(torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0]))
    assert x.grad is not None and x.grad.tolist() == [0.0, 2.0, 3.0, 4.0, 0.0]
    # A learned step size: code minus value inside, the bound outside.
    expected = 2 * (0 - 0.4) + 3 * (7 - 7.3) + 4 * (255 - 254.9) + 5 * 255
    grad = quantizer.scale.log_ratio.grad
    assert grad is not None and grad.item() * LOG_GAIN == pytest.approx(expected, rel=1e-5)


def test_an_observer_follows_in_small_steps() -> None:
    quantizer = activation(-1.0, 1.0, scale="free")
    quantizer.follow(torch.tensor([-2.0, 3.0]))
    assert quantizer.low.item() == pytest.approx(-1.1) and quantizer.high.item() == pytest.approx(1.2)
    assert quantizer.scale.value.item() == pytest.approx(2.3 / 255)


@pytest.mark.parametrize("bits", [2, 3, 8])
def test_weights(bits: int) -> None:
    arithmetic = Arithmetic(weight_bits=bits)
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(6, 4, 3, 3, generator=generator)
    weight[2] = 0
    quantizer = WeightQuantizer(6, LayerSettings(), arithmetic)
    quantizer.settle(weight)
    codes, scale = quantizer(weight)
    limit = 2 ** (bits - 1) - 1
    largest = weight.abs().amax((1, 2, 3)) / limit
    largest[2] = largest.max()
    assert torch.equal(scale, largest)
    assert_array_equal(codes.detach().numpy(), quantize_weight(weight.numpy(), scale.detach().numpy(), arithmetic))
    assert codes.abs().amax((1, 2, 3)).tolist() == [limit, limit, 0, limit, limit, limit]


def test_weights_that_are_all_zero() -> None:
    quantizer = WeightQuantizer(2, LayerSettings(), Arithmetic())
    quantizer.settle(torch.zeros(2, 3))
    assert quantizer.scale.value.tolist() == [1.0, 1.0]


def test_gradients_of_weights() -> None:
    quantizer = WeightQuantizer(1, LayerSettings(), Arithmetic())
    quantizer.scale.set(torch.tensor([0.5]))
    weight = torch.tensor([[0.3, 63.4, 64.0, -70.0]], requires_grad=True)
    codes, scale = quantizer(weight)
    assert codes.tolist() == [[1.0, 127.0, 127.0, -127.0]]
    (codes * scale).sum().backward()
    assert weight.grad is not None and weight.grad.tolist() == [[1.0, 1.0, 0.0, 0.0]]


@pytest.mark.parametrize("width", [8, 12, 32, 48])
def test_biases(width: int) -> None:
    arithmetic = Arithmetic(accumulator_bits=width, multiplier_bits=8)
    bias = torch.randn(500, generator=torch.Generator().manual_seed(0)) * 10
    bias[400:] *= 1e5  # quotients with more digits than float32 has
    bias[:2] = torch.tensor([1e9, -1e9])
    x_scale, w_scale = torch.tensor(0.013), torch.rand(500, generator=torch.Generator().manual_seed(1)) + 0.01
    found = quantize_bias(bias.requires_grad_(), x_scale, w_scale, arithmetic)
    values = bias.detach().numpy(), x_scale.numpy(), w_scale.numpy()
    expected = clamp_bias(integer_bias(*values, arithmetic), arithmetic)
    assert_array_equal(found.detach().numpy(), expected.astype(np.float64))
    found.sum().backward()
    assert bias.grad is not None and bias.grad[:2].tolist() == [0.0, 0.0]
    assert (bias.grad != 0).sum() > 20
