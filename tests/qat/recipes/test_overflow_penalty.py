"""The overflow penalty: its value is the certificate's excess, and its gradient brings the sums back."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import qat
from emulator import Arithmetic, certify
from tests.qat.networks import exported, images, randomized


def network() -> nn.Module:
    """Without padding, so that every window has all its taps."""
    return randomized(
        nn.Sequential(
            nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 4, 2), nn.Flatten(), nn.Linear(36, 5)
        )
    )


def excess(model: qat.PreparedModel, folder: Path) -> float:
    """How far the exported model's certificate passes the range, in units of 2^(P−1)."""
    total = 0
    least, most = model.quantizers.arithmetic.accumulator_range
    for certificate in certify(exported(model, folder)).values():
        total += sum(max(0, value - most) for value in certificate.high.tolist())
        total += sum(max(0, least - value) for value in certificate.low.tolist())
    return total / -least


@pytest.mark.parametrize("bits", [12, 16, 18, 19, 20, 21, 32])
def test_value(bits: int, tmp_path: Path) -> None:
    model = qat.prepare(network(), images(8, shape=(3, 6, 6)), Arithmetic(accumulator_bits=bits))
    expected = excess(model, tmp_path)
    assert (expected > 0) == (bits < 20)
    assert qat.overflow_penalty(model).item() == pytest.approx(expected, rel=1e-12, abs=0)


def test_it_is_0_with_the_guarantee_and_leaves_the_model_as_it_is() -> None:
    model = qat.prepare(network(), images(8, shape=(3, 6, 6)), Arithmetic(accumulator_bits=14)).train()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    assert qat.overflow_penalty(model) > 0
    assert model.training and all(module.training for module in model.quantizers.modules())
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    qat.guarantee(model)
    assert qat.overflow_penalty(model) == 0


def test_gradient_of_weights_and_bias() -> None:
    """Codes from 0 up: positive weights and biases raise the largest sum; what does not overflow has no gradient."""
    linear = nn.Linear(4, 3)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[1.0, 1.0, -0.3, -0.4], [-1.0, -1.0, -1.0, -0.9], [0.01, 0.0, 0.0, 1.0]]))
        linear.bias.copy_(torch.tensor([0.1, 0.1, 0.0]))
    model = qat.prepare(linear, torch.eye(4), Arithmetic(accumulator_bits=16))
    assert model.quantizers.input.zero_point == -128
    qat.overflow_penalty(model).backward()
    weight, bias = (model.get_parameter(name).grad for name in ("weight", "bias"))
    assert weight is not None and bias is not None
    assert weight.sign().tolist() == [[1, 1, 0, 0], [-1, -1, -1, -1], [0, 0, 0, 0]]
    assert bias.sign().tolist() == [1, -1, 0]


@pytest.mark.parametrize("learn", ["all", "scales"])
def test_descent_makes_a_model_safe(learn: str, tmp_path: Path) -> None:
    model = qat.prepare(network(), images(8, shape=(3, 6, 6)), Arithmetic(accumulator_bits=17))
    named = dict(model.named_parameters())
    chosen = [value for name, value in named.items() if learn == "all" or name.endswith("weight.scale.log_ratio")]
    assert len(chosen) in (3, len(named))
    optimizer = torch.optim.Adam(chosen, lr=3e-3)
    values = []
    for _ in range(100):
        optimizer.zero_grad()
        penalty = qat.overflow_penalty(model)
        values.append(penalty.item())
        if values[-1] == 0:
            break
        penalty.backward()
        optimizer.step()
    assert values[0] > 0 and values[-1] == 0 and values[len(values) // 2] < values[0]
    assert all(certificate.safe for certificate in certify(exported(model, tmp_path)).values())
