"""Calibration: min-max over batches, and scales fitted to a narrow accumulator."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import qat
from emulator import Arithmetic
from tests.qat.networks import Mixed, images, randomized


def test_scales_come_from_the_smallest_and_largest_value() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval()
    prepared = qat.prepare(model, images(2))
    batches = [images(8, seed) for seed in range(3)]
    qat.calibrate(prepared, [(batch, torch.zeros(8)) for batch in batches])
    x = torch.cat(batches)
    layer = prepared.quantizers.layers["0"]
    assert prepared.quantizers.input.scale.value.item() == pytest.approx((x.max() - x.min()).item() / 255)
    assert layer.output.scale.value.item() == pytest.approx(model(x).max().item() / 255)
    assert int(layer.output.zero_point) == -128
    weight = model[0].weight.detach()
    assert torch.equal(layer.weight.scale.value, weight.abs().amax((1, 2, 3)) / 127)


def test_calibrating_again_forgets_the_first_time() -> None:
    prepared = qat.prepare(randomized(Mixed()), images(4))
    qat.calibrate(prepared, [images(4) * 100])
    qat.calibrate(prepared, [images(4)])
    other = qat.prepare(randomized(Mixed()), images(4))
    qat.record_ranges(other, [images(4)])
    for name, tensor in other.state_dict().items():
        assert torch.equal(prepared.state_dict()[name], tensor), name


def test_fitted_scales_lose_no_sums() -> None:
    x = images(32)
    for overflow in ("saturate", "wrap"):
        arithmetic = Arithmetic(accumulator_bits=14, overflow=overflow)
        prepared = qat.prepare(randomized(Mixed()), x, arithmetic).eval()
        wide = qat.prepare(randomized(Mixed()), x).eval()
        before = sum(int(counts.sum()) for counts in qat.overflow_counts(prepared, x).values())
        error = (prepared(x) - wide(x)).square().mean()
        qat.fit_accumulator(prepared, x.split(8))
        after = sum(int(counts.sum()) for counts in qat.overflow_counts(prepared, x).values())
        assert after < before / 20
        assert (prepared(x) - wide(x)).square().mean() < error / 4


def test_a_wide_accumulator_needs_no_fitting() -> None:
    prepared = qat.prepare(randomized(Mixed()), images(8))
    qat.calibrate(prepared, [images(8)])
    before = {name: tensor.clone() for name, tensor in prepared.state_dict().items()}
    qat.fit_accumulator(prepared, [images(8)])
    assert all(torch.equal(before[name], tensor) for name, tensor in prepared.state_dict().items())


@pytest.mark.parametrize("function", [qat.calibrate, qat.fit_accumulator])
def test_bad_batches(function: object) -> None:
    prepared = qat.prepare(nn.Conv2d(3, 4, 3), images(2))
    with pytest.raises(ValueError, match="batches must hold at least one sample, not none"):
        function(prepared, [])  # type: ignore[operator]
    with pytest.raises(ValueError, match="batches must hold at least one sample, not none"):
        function(prepared, [images(0)])  # type: ignore[operator]
    with pytest.raises(TypeError, match="x must be a float tensor, not str"):
        function(prepared, ["a"])  # type: ignore[operator]
    with pytest.raises(ValueError, match=r"x must have shape \(batch, 3, 7, 6\), not \(1, 3, 7, 7\)"):
        function(prepared, [torch.zeros(1, 3, 7, 7)])  # type: ignore[operator]
    with pytest.raises(TypeError, match=r"model must be made by qat\.prepare, not Conv2d"):
        function(nn.Conv2d(3, 4, 3), [images(1)])  # type: ignore[operator]


@pytest.mark.parametrize("name", ["0.weight", "2.bias"])
def test_a_layer_that_is_not_finite_is_named(name: str) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3))
    prepared = qat.prepare(model, images(2))
    for broken in (model, prepared):
        with torch.no_grad():
            broken.get_parameter(name)[0] = torch.nan
    with pytest.raises(
        ValueError, match=f"layer '{name[0]}': .* must be finite|layer '{name[0]}': w must not contain NaN"
    ):
        qat.prepare(model, images(2))
    with pytest.raises(ValueError, match=f"layer '{name[0]}': weight and bias must not contain NaN"):
        prepared(images(2))
