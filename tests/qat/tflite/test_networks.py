"""Trained in TFLM's arithmetic, exported, and run by TFLM: every code of every layer is torch's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from torch import Tensor, nn

import qat
from codesign.peers.tflm import run_tflm
from compiler import load_model
from emulator import Arithmetic, run_graph
from tests.qat.networks import images, normalized
from tests.qat.networks.in_tflm import assert_tflm_agrees, channels_last, file_inputs, torch_codes
from tests.qat.networks.mlperf_tiny import DSCNN, Autoencoder, MobileNetV1, ResNet8
from tests.qat.networks.mobilenet import MobileNetV2
from tests.qat.networks.sequences import TCN, Tagger, UnrolledGRU
from tests.qat.networks.shufflenet import ShuffleNetV2, SuperResolution
from tests.qat.test_networks import tensors

COUNT = 100


class Small(nn.Module):
    """Convolutions, a maximum, a mean and two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 12, 3, stride=2, padding=1),
            nn.ReLU6(),
            nn.AvgPool2d(2, padding=1),
        )
        self.head = nn.Sequential(nn.Linear(48, 16), nn.Hardswish(), nn.Linear(16, 5))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.features(x).flatten(1))
        return y


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "a small network": (Small, (1, 10, 8)),
    "ResNet-8": (ResNet8, (3, 8, 8)),
    "DS-CNN": (DSCNN, (1, 25, 10)),
    "MobileNetV1": (MobileNetV1, (3, 32, 32)),
    "MobileNetV2": (lambda: MobileNetV2(0.25), (3, 32, 32)),
    "autoencoder": (Autoencoder, (640,)),
    "TCN": (TCN, (2, 20)),
    "ShuffleNetV2": (lambda: ShuffleNetV2((2, 2, 1), (8, 16, 24, 32, 48)), (3, 32, 32)),
    "super-resolution": (SuperResolution, (1, 8, 6)),
    "GRU cell": (UnrolledGRU, (3, 5)),
    "LSTM": (Tagger, (3, 5)),
}


def trained(name: str) -> tuple[qat.PreparedModel, Tensor]:
    """The network after three steps, and inputs that are a little wider than its training's."""
    torch.manual_seed(0)
    make, shape = NETWORKS[name]
    x = images(16, shape=shape)
    model = qat.prepare(normalized(make(), x), x[:1], Arithmetic.tflm())
    qat.calibrate(model, [x])
    optimizer = torch.optim.Adam(model.train().parameters(), lr=1e-3)
    for step in range(3):
        optimizer.zero_grad()
        sum(y.square().mean() for y in tensors(model(images(8, step, shape)))).backward()
        optimizer.step()
    return model, images(COUNT, 7, shape) * 1.5


def test_another_rounding_is_noticed(tmp_path: Path) -> None:
    """The comparison can fail: rounding once gives other codes than TFLM."""
    model, x = trained("autoencoder")
    qat.export_tflite(model, tmp_path / "model.tflite")
    arrays = file_inputs(model, x)
    graph = load_model(tmp_path / "model.tflite", Arithmetic.tflm())
    once = replace(graph, arithmetic=replace(graph.arithmetic, rounding="half_up"))
    expected = run_tflm(tmp_path / "model.tflite", arrays)["output"]
    assert (run_graph(graph, arrays)["output"] == expected).all()
    assert (run_graph(once, arrays)["output"] != expected).any()


@pytest.mark.parametrize("name", NETWORKS)
def test_tflm_gives_the_codes_of_torch(name: str, tmp_path: Path) -> None:
    model, x = trained(name)
    compared = assert_tflm_agrees(model, tmp_path, x)
    made = [layer for layer in model.quantizers if not layer.name.startswith("input")]
    assert len(compared) >= len(made) // 2
    codes = torch_codes(model, x)
    results = [codes[layer].codes.numpy() for layer in model.quantizers.results.layers.values()]
    assert all(np.unique(result).size > 20 for result in results), "the outputs must use their range"
    graph = load_model(tmp_path / "model.tflite", Arithmetic.tflm())
    read = run_graph(graph, file_inputs(model, x[:10]))
    for output, result in zip(model.quantizers.results.layers, results, strict=True):
        expected = channels_last(result[:10])
        assert_array_equal(read[output].reshape(expected.shape), expected)
