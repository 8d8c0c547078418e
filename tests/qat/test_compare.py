"""The table float / PTQ / PTQ+ / QAT: the user's own measure, nothing of the user's changed, the same every time."""

from __future__ import annotations

import copy
import json

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import qat
from emulator import Arithmetic

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(256, 6, generator=GENERATOR)
Y = (X[:, 0] * X[:, 1] > 0).long() + 2 * (X[:, 2] > X[:, 3]).long()
ARITHMETIC, SETTINGS = Arithmetic(weight_bits=2, activation_bits=4), {"*": {"per_channel": False}}
BATCHES = [(X[:128], Y[:128]), (X[128:], Y[128:])]


@pytest.fixture(scope="module")
def trained() -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 48), nn.BatchNorm1d(48), nn.ReLU(), nn.Dropout(0.1), nn.Linear(48, 4))
    steps(model, 150, 1e-2)
    return model


def steps(model: nn.Module, count: int, rate: float) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    for _ in range(count):
        optimizer.zero_grad()
        F.cross_entropy(model(X), Y).backward()
        optimizer.step()


def accuracy(model: nn.Module) -> float:
    assert not model.training and not torch.is_grad_enabled()
    return 100 * float((model(X).argmax(1) == Y).float().mean())


def train(model: qat.PreparedModel) -> None:
    assert model.training and torch.is_grad_enabled()
    steps(model, 60, 1e-2)


def run(model: nn.Module, **options: object) -> qat.Comparison:
    return qat.compare(
        model, X[:2], iter(BATCHES), accuracy, arithmetic=ARITHMETIC, settings=SETTINGS,
        adaround=qat.AdaRound(steps=100), **options,
    )  # fmt: skip


def test_the_four_rows(trained: nn.Module) -> None:
    before, modes = copy.deepcopy(trained.state_dict()), [m.training for m in trained.modules()]
    state = torch.get_rng_state()
    found = run(trained, train=train)
    assert torch.equal(torch.get_rng_state(), state)
    assert list(found.values) == ["float", "PTQ", "PTQ+", "QAT"] and list(found.models) == ["PTQ", "PTQ+", "QAT"]
    assert all(torch.equal(before[name], tensor) for name, tensor in trained.state_dict().items())
    assert [m.training for m in trained.modules()] == modes
    # The values are those of the models step by step.
    expected = accuracy_of(copy.deepcopy(trained))
    plain = qat.prepare(trained, X[:2], ARITHMETIC, settings=SETTINGS)
    qat.calibrate(plain, BATCHES)
    better = qat.prepare(trained, X[:2], ARITHMETIC, settings=SETTINGS)
    qat.calibrate(better, BATCHES, equalize=True, bias_correction=True, adaround=qat.AdaRound(steps=100))
    assert found.values["float"] == expected
    assert found.values["PTQ"] == accuracy_of(plain)
    assert found.values["PTQ+"] == accuracy_of(better) == accuracy_of(found.models["PTQ+"])
    assert found.values["QAT"] == accuracy_of(found.models["QAT"])
    assert found.values["PTQ"] < found.values["QAT"] <= expected + 3 and found.values["PTQ"] < expected
    assert run(trained, train=train) == found
    assert json.loads(json.dumps(found.as_dict())) == found.values
    lines = str(found).splitlines()
    assert [line.split()[0] for line in lines] == ["value", "float", "PTQ", "PTQ+", "QAT"]
    difference = found.values["PTQ"] - expected
    assert lines[2].split() == ["PTQ", f"{found.values['PTQ']:.6g}", f"{difference:+.6g}"]


def accuracy_of(model: nn.Module) -> float:
    with torch.no_grad():
        return accuracy(model.eval())


def test_without_training_and_with_chosen_options(trained: nn.Module) -> None:
    found = run(trained, equalize=False, bias_correction=False)
    assert list(found.values) == ["float", "PTQ", "PTQ+"]
    same = qat.compare(
        trained, X[:2], BATCHES, accuracy, arithmetic=ARITHMETIC, settings=SETTINGS,
        equalize=False, bias_correction=False, adaround=False,
    )  # fmt: skip
    assert same.values["PTQ"] == same.values["PTQ+"] == found.values["PTQ"]


def test_random_measures_are_seeded(trained: nn.Module) -> None:
    def noisy(model: nn.Module) -> float:
        return float(torch.rand(()))

    options = {"equalize": False, "bias_correction": False, "adaround": False}
    torch.manual_seed(5)
    first = qat.compare(trained, X[:2], BATCHES, noisy, **options)
    torch.manual_seed(6)
    assert qat.compare(trained, X[:2], BATCHES, noisy, **options) == first
    assert len(set(first.values.values())) == 1
    assert qat.compare(trained, X[:2], BATCHES, noisy, seed=1, **options) != first


def test_a_measure_must_be_a_number(trained: nn.Module) -> None:
    def lost(model: nn.Module) -> float:
        return float("nan") if isinstance(model, qat.PreparedModel) else 1.0

    with pytest.raises(ValueError, match="evaluate must give a finite number, not nan of PTQ"):
        qat.compare(trained, X[:2], BATCHES, lost, adaround=False)


def test_what_cannot_be_called_is_said_at_once() -> None:
    with pytest.raises(TypeError, match="evaluate must be a function of a model, not None"):
        qat.compare(nn.Linear(2, 2), torch.zeros(1, 2), [], None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="train must be a function of a model or None, not 5"):
        qat.compare(nn.Linear(2, 2), torch.zeros(1, 2), [], float, train=5)  # type: ignore[arg-type]
