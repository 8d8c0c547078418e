"""The guaranteed mode: whatever training does, the certificate of the exported model says safe; and the penalty."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import qat
from codesign import digits
from emulator import Arithmetic, LayerCertificate, certify
from qat.layers.layer import Step
from qat.recipes.guarantee import weighted_inputs
from tests.qat.networks import Mixed, assert_equal_codes, exported, images, randomized


def network() -> nn.Module:
    """Padding, groups, a BatchNorm and biases that take a good part of a narrow accumulator."""
    return randomized(
        nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 6, 2, groups=2),
            nn.Flatten(), nn.Linear(24, 5),
        )
    )  # fmt: skip


def shifted(offset: float, count: int = 8) -> Tensor:
    """Images whose quantizer's zero point lies at the lower end (1), in the middle (0) or at the upper end (−1)."""
    x = images(count, shape=(3, 6, 6))
    return x.abs() * offset if offset else x


def plain_extremes(codes: Tensor, bias: Tensor, low: int, high: int) -> list[tuple[int, int]]:
    """Smallest and largest partial sum of each channel, in Python's integers."""
    result = []
    for row, first in zip(codes.flatten(1).tolist(), bias.tolist(), strict=True):
        weights = [int(code) for code in row]
        assert weights == row and first == int(first)
        least, most = (sum(pick(low * w, high * w) for w in weights) for pick in (min, max))
        result.append((int(first) + min(least, 0), int(first) + max(most, 0)))
    return result


def assert_integers_hold(model: qat.PreparedModel) -> None:
    least, most = model.quantizers.arithmetic.accumulator_range
    for layer, x in weighted_inputs(model):
        codes, bias, _ = layer.integers(x, Step(model))
        extremes = plain_extremes(codes, bias, *x.extremes)
        assert all(least <= low and high <= most for low, high in extremes), layer.name


def certificates(model: qat.PreparedModel, folder: Path) -> list[LayerCertificate]:
    return [*certify(exported(model, folder)).values()]


@pytest.mark.parametrize("overflow", ["saturate", "wrap"])
@pytest.mark.parametrize("bits", range(10, 21))
def test_every_step_is_safe(bits: int, overflow: str, tmp_path: Path) -> None:
    offset = (1.0, 0.0, -1.0)[bits % 3]
    x = shifted(offset)
    arithmetic = Arithmetic(accumulator_bits=bits, overflow=overflow)
    model = qat.prepare(network(), (x,), arithmetic)
    if offset:
        assert model.quantizers.input.zero_point == (-128 if offset > 0 else 127)
    assert bits > 17 or not any(certificate.safe for certificate in certificates(model, tmp_path))
    qat.guarantee(model, center=bits % 2 == 0)
    assert all(certificate.safe for certificate in certificates(model, tmp_path))
    assert all(layer.integers(source, Step(model))[0].any() for layer, source in weighted_inputs(model))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    model.train()
    for step in range(3):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), torch.arange(8) % 5).backward()
        optimizer.step()
        assert_integers_hold(model)
        assert all(certificate.safe for certificate in certificates(model, tmp_path)), step
    model.eval()
    assert_equal_codes(model, x, tmp_path)
    assert not any(counts.any() for counts in qat.overflow_counts(model, x).values())


def test_the_range_is_used(tmp_path: Path) -> None:
    """Channels that would overflow at both ends come near to both."""
    arithmetic = Arithmetic(accumulator_bits=16, activation_bits=4)
    model = qat.prepare(randomized(nn.Conv2d(3, 8, 5)), (shifted(1.0),), arithmetic)
    qat.guarantee(model)
    ((layer, _),) = weighted_inputs(model)
    layer.weight.scale.set(layer.weight.scale() / 32)
    (certificate,) = certificates(model, tmp_path)
    most = arithmetic.accumulator_range[1]
    assert certificate.safe and (certificate.high > 0.9 * most).all() and (certificate.low < -0.9 * most).all()


def test_all_operators(tmp_path: Path) -> None:
    model = qat.prepare(randomized(Mixed()), images(4), Arithmetic(accumulator_bits=14))
    assert not all(certificate.safe for certificate in certificates(model, tmp_path))
    qat.guarantee(model)
    assert all(certificate.safe for certificate in certificates(model, tmp_path))
    assert_equal_codes(model, images(16, seed=1), tmp_path)


class Shared(nn.Module):
    """One weight on inputs of different ranges and legal codes."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(12, 12)

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(torch.relu(self.mix(x)))


def test_weights_that_layers_share(tmp_path: Path) -> None:
    x = images(8, shape=(12,))
    model = qat.prepare(randomized(Shared()), x, Arithmetic(accumulator_bits=14))
    assert len([*weighted_inputs(model)]) == 2 and not all(c.safe for c in certificates(model, tmp_path))
    qat.guarantee(model)
    scale = next(weighted_inputs(model))[0].weight.scale
    scale.set(scale() / 8)  # so fine that both layers have to shrink the weights, and not by the same
    assert all(certificate.safe for certificate in certificates(model, tmp_path))
    first, second = (layer.integers(source, Step(model))[0] for layer, source in weighted_inputs(model))
    assert first.any() and not torch.equal(first, second)
    assert_equal_codes(model, x, tmp_path)


def test_a_checkpoint_keeps_the_guarantee(tmp_path: Path) -> None:
    arithmetic = Arithmetic(accumulator_bits=13)
    model, other = (qat.prepare(network(), (shifted(1.0),), arithmetic) for _ in range(2))
    qat.guarantee(model)
    expected = assert_equal_codes(model, shifted(1.0), tmp_path)
    other.load_state_dict(model.state_dict())
    found = qat.codes(other, shifted(1.0))
    assert all(np.array_equal(found[name], codes) for name, codes in expected.items())


def test_training_with_the_guarantee_learns_the_digits(tmp_path: Path) -> None:
    data = digits.load()
    float_model = digits.train_float(data, epochs=4)
    arithmetic = Arithmetic(accumulator_bits=12, activation_bits=4)
    model = digits.calibrated(float_model, data, arithmetic)
    qat.guarantee(model)
    before = digits.accuracy(model, data.test_images, data.test_labels)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(0)
    model.train()
    for _ in range(2):
        for batch in torch.randperm(1437, generator=generator).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(data.train_images[batch]), data.train_labels[batch]).backward()
            optimizer.step()
    after = digits.accuracy(model, data.test_images, data.test_labels)
    assert after > max(before, 0.85)
    assert all(certificate.safe for certificate in certificates(model, tmp_path))
    assert not any(counts.any() for counts in qat.overflow_counts(model, data.test_images).values())


def test_statistics_of_batch_norm_stay(tmp_path: Path) -> None:
    model = qat.prepare(network(), (shifted(1.0),), Arithmetic(accumulator_bits=14)).train()
    model(shifted(1.0))
    before = model.get_buffer("1.running_mean").clone()
    qat.guarantee(model)
    model(2 * shifted(1.0))
    assert torch.equal(model.get_buffer("1.running_mean"), before)


def test_only_prepared_models() -> None:
    for function in (qat.guarantee, qat.overflow_penalty):
        with pytest.raises(TypeError, match=r"model must be made by qat\.prepare, not Linear"):
            function(nn.Linear(2, 2))
