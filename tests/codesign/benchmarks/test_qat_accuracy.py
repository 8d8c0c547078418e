"""Accuracy on the digits, with few epochs; and the choice of settings, whose folds hold no test image."""

from __future__ import annotations

import pytest
import torch

from codesign import digits
from codesign.benchmarks import qat_accuracy, qat_widths
from codesign.benchmarks.qat_choice import Question, answer, folds, questions, validate
from emulator import Arithmetic


def test_rows() -> None:
    whole = digits.load()
    data = digits.Digits(whole.train_images[:320], whole.train_labels[:320], whole.test_images, whole.test_labels)
    table = qat_accuracy.rows(data, seeds=(1, 2), float_epochs=2, qat_epochs=1)
    assert [row["target"] for row in table] == [None, "≤ 0.3", "≤ 1.5"]
    floats = [digits.train_float(data, epochs=2, seed=seed) for seed in (1, 2)]
    wrong = {"float": 0, 8: 0, 4: 0}
    for seed, model in zip((1, 2), floats, strict=True):
        wrong["float"] += int((model(data.test_images).argmax(1) != data.test_labels).sum())
        for bits in (8, 4):
            arithmetic = Arithmetic(weight_bits=bits, activation_bits=bits)
            chosen = qat_accuracy.CHOSEN
            trained = digits.train_qat(model, data, arithmetic, epochs=1, seed=seed, **chosen)
            wrong[bits] += int((trained(data.test_images).argmax(1) != data.test_labels).sum())
    assert table[0]["value"] == pytest.approx(100 - 100 * wrong["float"] / 720, abs=1e-3)
    for row, bits, most in zip(table[1:], (8, 4), (0.3, 1.5), strict=True):
        lost = 100 * (wrong[bits] - wrong["float"]) / 720
        assert row["value"] == pytest.approx(lost, abs=1e-3) and row["holds"] == (lost <= most)


def test_folds_are_the_training_images() -> None:
    data = digits.load()
    parts = list(folds(data, 5, 2))
    assert len(parts) == 10
    validation = torch.cat([part.test_images for part in parts[:5]])
    for part in parts:
        assert len(part.train_labels) + len(part.test_labels) == 1437
    held, trained = ({image.numpy().tobytes() for image in images} for images in (validation, data.train_images))
    assert held == trained and len(validation) == 1437
    assert all(len(part.train_images) == len(part.train_labels) for part in parts)


def test_losses_are_those_on_the_validation_images() -> None:
    whole = digits.load()
    data = digits.Digits(whole.train_images[:200], whole.train_labels[:200], whole.test_images, whole.test_labels)
    parts = list(folds(data))[:2]
    seeds: list[int] = []

    class Constant(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.one_hot(torch.full((len(x),), 7), 10).float()

    def same(model: torch.nn.Module, part: digits.Digits, *, seed: int) -> torch.nn.Module:
        seeds.append(seed)
        return model

    candidates = {"a": {"x": same, "y": lambda *_, seed: Constant()}, "b": {"x": same, "y": same}}
    measures = validate(candidates, parts, float_epochs=1)
    assert seeds == [0, 0, 0, 1, 1, 1]
    found = measures["lost"]
    assert found["a"]["x"] == found["b"]["y"] == 0 == measures["changed"]["a"]["x"]
    reached = [digits.train_float(part, epochs=1, seed=seed) for seed, part in enumerate(parts)]
    expected = [
        digits.accuracy(model, part.test_images, part.test_labels) - float((part.test_labels == 7).float().mean())
        for model, part in zip(reached, parts, strict=True)
    ]
    assert found["a"]["y"] == pytest.approx(100 * sum(expected) / 2)
    others = [
        float((model(part.test_images).argmax(1) != 7).float().mean())
        for model, part in zip(reached, parts, strict=True)
    ]
    assert measures["changed"]["a"]["y"] == pytest.approx(100 * sum(others) / 2)
    table = answer(Question("which", candidates, 2), data, float_epochs=1)
    assert [row[-1] for row in table.rows] == (["–", "yes"] if sum(expected) > 0 else ["yes", "–"])
    table = answer(Question("which", candidates, 2, "changed"), data, float_epochs=1)
    assert sum(others) > 0 and [row[-1] for row in table.rows] == ["–", "yes"]
    assert [list(row[1:5]) for row in table.rows] == [
        ["0.00", f"{found['a']['y']:.2f}", "0.00", f"{measures['changed']['a']['y']:.2f}"],
        ["0.00"] * 4,
    ]


def test_what_was_asked() -> None:
    wide, narrow, guaranteed = questions()
    assert (wide.folds, narrow.folds, guaranteed.folds) == (10, 3, 3)
    settings = [
        {key: train.keywords[key] for key in qat_accuracy.CHOSEN}
        for tried in wide.candidates.values()
        for train in tried.values()
    ]
    assert qat_accuracy.CHOSEN in settings and len(wide.candidates) == 9 and wide.measure == "changed"
    rates = [train.keywords["learning_rate"] for tried in narrow.candidates.values() for train in tried.values()]
    assert qat_widths.QAT_RATE in rates and len(set(rates)) == len(narrow.candidates) == 3
    tried = [train.keywords for tried in guaranteed.candidates.values() for train in tried.values()]
    assert {(given["activation_bits"], given["center"]) for given in tried} == {
        (bits, center) for bits in (8, 5, 4) for center in (False, True)
    }
    assert digits.GUARANTEED_BITS in (8, 5, 4)
