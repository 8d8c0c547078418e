"""The demo's network and recipe: training towards an accumulator that is too narrow for post-training quantization."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import qat
from codesign import digits
from emulator import Arithmetic
from tests.qat.networks import assert_equal_codes


@pytest.fixture(scope="module")
def data() -> digits.Digits:
    return digits.load()


@pytest.fixture(scope="module")
def float_model(data: digits.Digits) -> nn.Module:
    return digits.train_float(data)


def test_the_split_is_fixed_and_disjoint(data: digits.Digits) -> None:
    assert data.train_images.shape == (1437, 1, 8, 8) and data.test_images.shape == (360, 1, 8, 8)
    assert data.test_labels.bincount().tolist() == [36, 36, 35, 37, 36, 37, 36, 36, 35, 36]
    assert torch.equal(digits.load().test_images, data.test_images)
    assert data.train_images.min() == 0 and data.train_images.max() == 1
    seen = {image.numpy().tobytes() for image in data.train_images}
    assert sum(image.numpy().tobytes() in seen for image in data.test_images) == 0


def test_narrow_accumulators(data: digits.Digits, float_model: nn.Module, tmp_path: object) -> None:
    def accuracy(model: nn.Module) -> float:
        return digits.accuracy(model, data.test_images, data.test_labels)

    arithmetic = Arithmetic(accumulator_bits=12)
    steps: list[tuple[int, int]] = []
    ptq = digits.calibrated(float_model, data, arithmetic)
    trained = digits.train_qat(float_model, data, arithmetic, on_step=lambda *step: steps.append(step))
    assert accuracy(float_model) >= 0.96
    assert accuracy(ptq) <= accuracy(float_model) - 0.3
    assert accuracy(trained) >= accuracy(float_model) - 0.01
    assert steps == [(step + 1, digits.QAT_EPOCHS * 22) for step in range(digits.QAT_EPOCHS * 22)]
    codes = assert_equal_codes(trained, data.test_images, tmp_path)
    assert (codes["head"].argmax(1) == trained(data.test_images).argmax(1).numpy()).all()
    overflows = qat.overflow_counts(trained, data.test_images)
    assert sum(int(counts.sum()) for counts in overflows.values()) > 0


@pytest.mark.parametrize("overflow", ["saturate", "wrap"])
def test_training_alone_finds_its_way_out_of_overflow(
    overflow: str, data: digits.Digits, float_model: nn.Module
) -> None:
    arithmetic = Arithmetic(accumulator_bits=12, overflow=overflow)
    prepared = digits.calibrated(float_model, data, arithmetic)
    before = digits.accuracy(prepared, data.train_images, data.train_labels)
    optimizer = torch.optim.Adam(prepared.parameters(), lr=5e-3)
    generator = torch.Generator().manual_seed(0)
    prepared.train()
    for _ in range(4):
        for batch in torch.randperm(1437, generator=generator).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(prepared(data.train_images[batch]), data.train_labels[batch]).backward()
            optimizer.step()
    after = digits.accuracy(prepared, data.train_images, data.train_labels)
    assert before < 0.3 and after > before + 0.3
