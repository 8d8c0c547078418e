"""The benchmark of a training step: its network, its accounting of memory, and its rows on fewer rounds."""

from __future__ import annotations

import pytest
import torch

import qat
from codesign.benchmarks import qat_networks, qat_step, qat_step_ratios
from codesign.benchmarks.qat_step import NARROW, batch, network, overflow_share, peak_bytes, training_step


def test_the_network() -> None:
    model = network()
    shapes = [tuple(layer.weight.shape) for layer in model if isinstance(layer, torch.nn.Conv2d)]
    assert shapes == [(32, 3, 3, 3), (64, 32, 3, 3), (64, 64, 3, 3), (128, 64, 3, 3), (128, 128, 3, 3)]
    assert model.conv5(model[:12](batch()[0][:1])).shape == (1, 128, 8, 8)


def test_memory_is_what_is_alive_at_once() -> None:
    x = torch.zeros(1000)
    kept: list[torch.Tensor] = []

    def step() -> None:
        y = x + 1
        kept.append(y[:10])
        del y  # a view keeps its storage
        for _ in range(5):
            z = x * 2
            del z
        kept.append(torch.cat([x, x]))

    assert peak_bytes(step) == 4 * 3000
    kept.clear()


def test_memory_of_what_backward_keeps() -> None:
    x = torch.zeros(1000, requires_grad=True)
    # sigmoid keeps its result, of which there are five, and then come the gradients.
    peak = peak_bytes(lambda: x.sigmoid().sigmoid().sigmoid().sigmoid().sigmoid().sum().backward())
    assert 4 * 5000 < peak < 4 * 9000


def test_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qat_step, "ROUNDS", 1)
    monkeypatch.setattr(qat_step, "BATCH", 4)
    before = torch.get_num_threads()
    rows = qat_step.rows()
    assert torch.get_num_threads() == before
    assert [row["target"] for row in rows] == ["≤ 1.5", "≤ 5", "≥ 10", "≤ 2", "≤ 2", None]
    assert rows[2]["value"] > 10 and all(row["value"] > 0 for row in rows)
    assert training_step(network(), *batch())() is None


def test_rows_of_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qat_step_ratios, "ROUNDS", 1)
    rows = qat_step_ratios.network_rows("MLP")
    assert [row["target"] for row in rows] == ["≤ 1.8", "≤ 3", "≥ 10"]
    assert all("MLP" in row["name"] and row["value"] > 0 for row in rows)


@pytest.mark.parametrize("name", qat_step_ratios.HEATED)
def test_heated_networks_overflow(name: str) -> None:
    samples = qat_networks.batch(name)[0][:2]
    model = qat.prepare(qat_networks.seeded(name), (samples,), NARROW)
    qat.calibrate(model, [samples])
    assert overflow_share(model, samples) < 0.1
    qat_step_ratios.heat(model)
    assert overflow_share(model, samples) > 0.2
    codes = qat.codes(model, samples)
    assert all(found.std() > 10 for found in codes.values())  # the signal reaches every layer
