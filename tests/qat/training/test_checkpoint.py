"""Resuming: N + M steps are N steps, a file, a fresh model and M steps, bit for bit."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, MultiStepLR, OneCycleLR, StepLR

import qat
from emulator import Arithmetic

N, M = 3, 3
SCHEDULES: list[Callable[[Optimizer], LRScheduler]] = [
    lambda optimizer: StepLR(optimizer, 2, 0.5),
    lambda optimizer: OneCycleLR(optimizer, 1e-4, total_steps=20),
    lambda optimizer: MultiStepLR(optimizer, [2, 4, 4]),
    lambda optimizer: CosineAnnealingLR(optimizer, 10),
]


class Noisy(nn.Module):
    """Dropout, BatchNorm, and random numbers of NumPy and Python in each step."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 4, 3, bias=False), nn.BatchNorm2d(4)
        self.hidden, self.head, self.drop = nn.Linear(4 * 3 * 3, 6), nn.Linear(6, 3), nn.Dropout(0.3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.drop(F.relu(self.norm(self.conv(x)))).flatten(1)
        return self.head(self.drop(F.relu(self.hidden(x))))


def made(scale: str, seed: int, arithmetic: Arithmetic | None = None) -> qat.PreparedModel:
    torch.manual_seed(seed)
    model = Noisy()
    for layer in (model.conv, model.hidden, model.head):
        nn.init.normal_(layer.weight, std=0.5)
    return qat.prepare(model, torch.randn(4, 2, 5, 5), arithmetic, settings={"*": {"scale": scale}}).train()


def steps(
    model: nn.Module, optimizer: Optimizer, schedule: LRScheduler, generator: torch.Generator, count: int
) -> list[float]:
    losses = []
    for _ in range(count):
        x = torch.randn(6, 2, 5, 5, generator=generator) * (1 + random.random())
        x += torch.from_numpy(np.random.standard_normal((6, 1, 1, 1))).float()
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), torch.randint(3, (6,)))
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses


def assert_same(a: object, b: object) -> None:
    """Equal bits of tensors in the same collections."""
    if isinstance(a, Tensor):
        assert isinstance(b, Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    elif isinstance(a, dict):
        assert isinstance(b, dict) and list(a) == list(b)
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, (list, tuple)):
        assert isinstance(b, (list, tuple)) and len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    else:
        assert a == b


@pytest.mark.parametrize("index", range(4))
def test_bit_equal_continuation(index: int, tmp_path: Path) -> None:
    scale, schedule = ("learned", "learned_log", "free", "power_of_two")[index], SCHEDULES[index]
    kind = (torch.optim.AdamW, torch.optim.Adam, torch.optim.RMSprop, torch.optim.SGD)[index]
    more = {"momentum": 0.9} if kind is torch.optim.SGD else {}
    model = made(scale, 0, Arithmetic(accumulator_bits=14))
    if index % 2:
        qat.calibrate(model, [torch.randn(8, 2, 5, 5)], adaround=qat.AdaRound(steps=5, learning_rate=0.5))
        qat.freeze_statistics(model, N + 1)
    else:
        qat.prune_weights(model, 0.5)
        model.norm.eval()
    optimizer = kind(model.parameters(), lr=1e-4, **more)
    plan, generator = schedule(optimizer), torch.Generator().manual_seed(7)
    random.seed(1)
    np.random.seed(2)
    torch.manual_seed(3)
    steps(model, optimizer, plan, generator, N)
    file = tmp_path / "checkpoint.pt"
    qat.save_checkpoint(file, model, optimizer, plan, progress=N, generators={"data": generator})
    expected = steps(model, optimizer, plan, generator, M)
    assert len(set(expected)) == M

    other = made(scale, 100, Arithmetic(accumulator_bits=14))
    if index == 2:
        qat.prune_weights(other, 0.1)  # other masks
    second = kind(other.parameters(), lr=1.0, **more)
    after, fresh = schedule(second), torch.Generator()
    random.seed(11)
    assert qat.load_checkpoint(file, other, second, after, generators={"data": fresh}) == N
    assert steps(other, second, after, fresh, M) == expected
    assert_same(dict(other.state_dict()), dict(model.state_dict()))
    assert_same(second.state_dict(), optimizer.state_dict())
    assert after.get_last_lr() == plan.get_last_lr()
    assert [m.training for _, m in sorted(other.named_modules())] == [
        m.training for _, m in sorted(model.named_modules())
    ]
    x = torch.randn(9, 2, 5, 5)
    for name, codes in qat.codes(model, x).items():
        assert len(np.unique(codes)) > 5
        np.testing.assert_array_equal(qat.codes(other, x)[name], codes)


def test_each_part_counts(tmp_path: Path) -> None:
    """Another seed, an optimizer without its state or a mode that is lost would show."""

    def continued(spoil: Callable[[nn.Module, Optimizer], object]) -> list[float]:
        model = made("learned", 0)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
        plan, generator = StepLR(optimizer, 2), torch.Generator().manual_seed(7)
        random.seed(1)
        np.random.seed(2)
        steps(model, optimizer, plan, generator, N)
        qat.save_checkpoint(tmp_path / "c", model, optimizer, plan, generators={"data": generator})
        qat.load_checkpoint(tmp_path / "c", model, optimizer, plan, generators={"data": generator})
        spoil(model, optimizer)
        return steps(model, optimizer, plan, generator, M)

    expected = continued(lambda *_: None)
    assert continued(lambda *_: None) == expected
    for part, spoil in enumerate(
        (
            lambda *_: torch.manual_seed(5),
            lambda *_: random.seed(5),
            lambda *_: np.random.seed(5),
            lambda _, optimizer: optimizer.state.clear(),
            lambda model, _: model.drop.eval(),
            lambda model, _: model.norm.running_mean.add_(1),
        )
    ):
        assert continued(spoil) != expected, part


def test_the_file_holds_no_code(tmp_path: Path) -> None:
    model = made("learned", 0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    file = tmp_path / "checkpoint.pt"
    qat.save_checkpoint(file, model, optimizer, progress=5)
    state = torch.load(file, weights_only=True)
    assert state["progress"] == 5 and set(state["model"]) == set(model.state_dict())
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]
    before = file.read_bytes()
    optimizer.param_groups[0]["schedule"] = SCHEDULES[0]
    with pytest.raises(
        ValueError, match=r"checkpoint\['optimizer'\]\['param_groups'\]\[0\]\['schedule'\] must be a tensor, "
    ):
        qat.save_checkpoint(file, model, optimizer)
    assert file.read_bytes() == before


def test_files_that_do_not_fit(tmp_path: Path) -> None:
    model, file = made("learned", 0), tmp_path / "checkpoint.pt"
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    qat.save_checkpoint(file, model, generators={"data": torch.Generator()})
    generators = {"data": torch.Generator()}
    for other in (made("learned", 0, Arithmetic(accumulator_bits=16)), made("free", 0)):
        with pytest.raises(ValueError, match="must be of a model with the same arithmetic and settings as model"):
            qat.load_checkpoint(file, other, generators=generators)
    with pytest.raises(ValueError, match=r"optimizer must be given if and only if .*checkpoint\.pt has its state"):
        qat.load_checkpoint(file, model, optimizer, generators=generators)
    other = made("learned", 1)
    before = {name: value.clone() for name, value in other.state_dict().items()}
    with pytest.raises(ValueError, match=r"generators must be \['data'\], not \[\]"):
        qat.load_checkpoint(file, other)
    assert_same(dict(other.state_dict()), before)
    smaller = qat.prepare(nn.Sequential(nn.Linear(4, 2)), torch.randn(3, 4), settings={"*": {"scale": "learned"}})
    with pytest.raises(ValueError, match=r"checkpoint\.pt must be of the same model: Error\(s\) in loading state_dict"):
        qat.load_checkpoint(file, smaller, generators=generators)
    for content in (b"", b"PK\x03\x04 and so on", b"\x80\x02N.", b"junk"):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=r"checkpoint\.pt must be a checkpoint"):
            qat.load_checkpoint(file, model)
    for part in ({"model": {}}, {"format": "lockstep checkpoint 1", "model": {}}):
        torch.save(part, file)
        with pytest.raises(ValueError, match=r"checkpoint\.pt must be a checkpoint that save_checkpoint wrote"):
            qat.load_checkpoint(file, model)
    with pytest.raises(FileNotFoundError):
        qat.load_checkpoint(tmp_path / "none", model)
