"""Scales: materialized once, restored bit for bit, learned in the log domain."""

from __future__ import annotations

import copy

import pytest
import torch

from qat.scales.scale import LOG_GAIN, LearnedScale, LogScale, PowerOfTwoScale, Scale


def test_it_is_materialized_only_when_its_parameter_changed() -> None:
    scale = LogScale(2)
    scale.set(torch.tensor([0.5, 0.25]))
    assert scale().tolist() == [0.5, 0.25]
    # A value of another processor's exp stays as it is.
    scale.value.copy_(torch.nextafter(scale.value, scale.value + 1))
    kept = scale().detach().clone()
    assert torch.equal(kept, scale.value)
    with torch.no_grad():
        scale.log_ratio += 0.01
    assert torch.equal(scale(), torch.tensor([0.5, 0.25]) * torch.exp(LOG_GAIN * scale.log_ratio))
    assert not torch.equal(scale(), kept)


def test_a_copy_and_a_checkpoint_keep_the_value() -> None:
    scale = LogScale(None)
    with torch.no_grad():
        scale.log_ratio.fill_(0.1)
    scale()
    scale.value.copy_(torch.nextafter(scale.value, torch.tensor(9.0)))
    other = LogScale(None)
    other.load_state_dict(scale.state_dict())
    assert torch.equal(other(), scale.value) and torch.equal(copy.deepcopy(scale)(), scale.value)


def test_gradient() -> None:
    scale = LogScale(None)
    scale.set(torch.tensor(0.5))
    (scale() * 3).backward()
    assert scale.log_ratio.grad is not None and scale.log_ratio.grad.item() == pytest.approx(1.5 / LOG_GAIN)


def test_a_scale_that_is_not_learned_has_no_parameter() -> None:
    scale = Scale(3)
    scale.set(torch.tensor([1.0, 2.0, 3.0]))
    assert not list(scale.parameters()) and scale().tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("kind", [Scale, PowerOfTwoScale, LearnedScale, LogScale])
@pytest.mark.parametrize("value", [0.0, -1.0, float("inf"), float("nan")])
def test_a_bad_scale(kind: type[Scale], value: float) -> None:
    with pytest.raises(ValueError, match="scale must be positive and finite, not"):
        kind(None).set(torch.tensor(value))


@pytest.mark.parametrize(("kind", "value"), [(LogScale, -9.0), (LogScale, 9.0), (LearnedScale, float("inf"))])
def test_a_parameter_that_has_left_all_bounds(kind: type[Scale], value: float) -> None:
    scale = kind(2)
    (parameter,) = scale.parameters()
    with torch.no_grad():
        parameter[1] = value
    with pytest.raises(ValueError, match=f"scale must be positive and finite, not {'0.0' if value < 0 else 'inf'}"):
        scale()
    assert scale.value.tolist() == [1.0, 1.0]


def test_powers_of_two_are_rounded_up() -> None:
    scale = PowerOfTwoScale(6)
    above = float(torch.nextafter(torch.tensor(1.0), torch.tensor(2.0)))
    scale.set(torch.tensor([1.0, above, 0.75, 0.3, 2.0**-140, 3 * 2.0**-149]))
    assert scale().tolist() == [1.0, 2.0, 1.0, 0.5, 2.0**-140, 2.0**-147]
    with pytest.raises(ValueError, match="scale must be positive and finite, not inf"):
        PowerOfTwoScale(None).set(torch.tensor(3e38))


def test_a_learned_step_size_is_its_parameter() -> None:
    scale = LearnedScale(2)
    scale.set(torch.tensor([0.5, 0.25]))
    (scale(gradient_scale=0.125) * torch.tensor([3.0, 4.0])).sum().backward()
    assert scale.step.grad is not None and scale.step.grad.tolist() == [0.375, 0.5]
    with torch.no_grad():
        scale.step.copy_(torch.tensor([0.625, -1.0]))
    # It stays positive, and what pulls it up still reaches it.
    result = scale()
    assert result.tolist() == [0.625, 0.25 / 1024]
    scale.step.grad = None
    result.sum().backward()
    assert scale.step.grad is not None and scale.step.grad.tolist() == [1.0, 1.0]
