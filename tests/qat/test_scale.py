"""Scales: materialized once, restored bit for bit, learned in the log domain."""

from __future__ import annotations

import copy

import pytest
import torch

from qat.scale import LOG_GAIN, Scale


def test_it_is_materialized_only_when_its_parameter_changed() -> None:
    scale = Scale(2, learned=True)
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
    scale = Scale(None, learned=True)
    with torch.no_grad():
        scale.log_ratio.fill_(0.1)
    scale()
    scale.value.copy_(torch.nextafter(scale.value, torch.tensor(9.0)))
    other = Scale(None, learned=True)
    other.load_state_dict(scale.state_dict())
    assert torch.equal(other(), scale.value) and torch.equal(copy.deepcopy(scale)(), scale.value)


def test_gradient() -> None:
    scale = Scale(None, learned=True)
    scale.set(torch.tensor(0.5))
    (scale() * 3).backward()
    assert scale.log_ratio.grad is not None and scale.log_ratio.grad.item() == pytest.approx(1.5 / LOG_GAIN)


def test_a_scale_that_is_not_learned_has_no_parameter() -> None:
    scale = Scale(3, learned=False)
    scale.set(torch.tensor([1.0, 2.0, 3.0]))
    assert not list(scale.parameters()) and scale().tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("value", [0.0, -1.0, float("inf"), float("nan")])
def test_a_bad_scale(value: float) -> None:
    with pytest.raises(ValueError, match="scale must be positive and finite, not"):
        Scale(None, learned=True).set(torch.tensor(value))
