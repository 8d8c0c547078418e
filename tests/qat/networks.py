"""Small float networks with statistics and biases that are not zero, and the emulator's answer to them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import qat
from compiler import load_onnx
from emulator import Graph, run_graph


class Mixed(nn.Module):
    """Everything at once: groups, dilation, asymmetric padding, all pools, ReLU6, clamps, functions, a wide Flatten."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding="same", bias=False),
            nn.BatchNorm2d(8),
            nn.MaxPool2d(3, stride=2, padding=1),
            nn.ReLU6(),
            nn.Conv2d(8, 8, (2, 3), stride=(1, 2), padding=(1, 2), dilation=(2, 1), groups=4),
            nn.BatchNorm2d(8),
            nn.ReLU(inplace=True),
            nn.AvgPool2d((2, 1), stride=1, padding=(1, 0), count_include_pad=False),
        )
        self.mix = nn.Conv2d(8, 12, 2, padding="same")
        self.hidden = nn.Linear(12 * 5 * 3, 7)
        self.norm = nn.BatchNorm1d(7)
        self.head = nn.Linear(7, 5)
        self.drop = nn.Dropout(0.25)

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)
        x = torch.clamp(self.mix(x), -0.5, 0.75)
        x = self.drop(x).view(x.size(0), -1)
        return self.head(F.relu(self.norm(self.hidden(x))))


class Pooled(nn.Module):
    """Global pools and a head on their result."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, stride=2)
        self.second = nn.Conv2d(6, 10, 1, bias=False)
        self.head = nn.Linear(10, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = F.avg_pool2d(F.relu(self.first(x)), 2, padding=1)
        x = F.relu(self.second(x)).mean((2, 3))
        return self.head(F.dropout(x, 0.5, self.training))


SHAPE = (3, 7, 6)


def randomized(model: nn.Module, seed: int = 0) -> nn.Module:
    """`model` in eval mode with random statistics, affine parameters and biases."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            for tensor, low, high in (
                (module.running_mean, -0.3, 0.3),
                (module.running_var, 0.3, 1.5),
                (module.weight.data, 0.5, 2.0),
                (module.bias.data, -0.5, 0.5),
            ):
                tensor.uniform_(low, high, generator=generator)
        elif isinstance(module, (nn.Conv2d, nn.Linear)):
            for parameter in module.parameters():
                parameter.data.uniform_(-0.5, 0.5, generator=generator)
    return model.eval()


def images(count: int, seed: int = 0, shape: tuple[int, ...] = SHAPE) -> Tensor:
    """Normal float images (count, …)."""
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed))


def exported(model: qat.PreparedModel, folder: Path) -> Graph:
    """The integer graph of `model` by the way of its file."""
    file = folder / "model.onnx"
    qat.export_onnx(model, file)
    return load_onnx(file)


def assert_equal_codes(model: qat.PreparedModel, x: Tensor, folder: Path) -> dict[str, np.ndarray]:
    """torch's codes are the emulator's in every layer, and its result is the last layer's; returns the codes."""
    expected = run_graph(exported(model, folder), {"input": x.numpy()}, every=True)
    found = qat.codes(model, x)
    assert set(found) == set(expected)
    for name, codes in expected.items():
        assert found[name].dtype == np.int8
        np.testing.assert_array_equal(found[name], codes, err_msg=name)
    return found
